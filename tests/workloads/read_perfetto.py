"""Reads a trace with Perfetto's own messages and compares with the log that it was made from. What it
says is printed, a line a packet.

read_perfetto.py TRACE LOG
"""
import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

trace_file, log = sys.argv[1:]
lines = [json.loads(line) for line in open(log)]
trace = Trace()
trace.ParseFromString(open(trace_file, "rb").read())


def unknown(message):
    """Counts the fields that Perfetto does not know, at any depth."""
    count = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        several = value if field.is_repeated else [value]
        count += sum(unknown(part) for part in several)
    return count


assert unknown(trace) == 0, "fields that Perfetto does not know"
tracks, names, categories, annotations, flows = {}, {}, {}, {}, {}
open_slices = {}
for packet in trace.packet:
    data = packet.interned_data
    names.update((entry.iid, entry.name) for entry in data.event_names)
    categories.update((entry.iid, entry.name) for entry in data.event_categories)
    annotations.update((entry.iid, entry.name) for entry in data.debug_annotation_names)
    if packet.HasField("track_descriptor"):
        track = packet.track_descriptor
        tracks[track.uuid] = track
        assert not track.parent_uuid or track.parent_uuid in tracks, "a parent that is not known"
        task = track.process if track.HasField("process") else track.thread
        number = getattr(task, "tid", 0) or task.pid
        print("track", track.name or getattr(task, "process_name", "") or task.thread_name, number)
    if packet.HasField("track_event"):
        event = packet.track_event
        assert event.track_uuid in tracks, "an event before its track"
        depth = open_slices.setdefault(event.track_uuid, [])
        name = names[event.name_iid] if event.name_iid else ""
        kind = TrackEvent.Type.Name(event.type)
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            depth.append(name)
        elif event.type == TrackEvent.TYPE_SLICE_END:
            name = depth.pop()
        for flow in list(event.flow_ids) + list(event.terminating_flow_ids):
            flows[flow] = flows.get(flow, 0) + 1
        told = sorted(annotations[note.name_iid] for note in event.debug_annotations)
        print(packet.timestamp, kind, name, *told)

assert all(count >= 2 for count in flows.values()), "a flow that leads nowhere"
forks = [line for line in lines if line["type"] == "process.fork"]
findings = [line for line in lines if line["type"] == "finding"]
assert len(flows) >= len(forks), "a fork without a flow"
stuck = [name for slices in open_slices.values() for name in slices if name.startswith("HANG")]
assert len(stuck) >= len(findings), f"open hangs: {stuck}"
