{{- define "forktrace.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- define "forktrace.selector" -}}
app.kubernetes.io/name: forktrace
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "forktrace.labels" -}}
{{ include "forktrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
