//! What `--version` says beside the number.

use std::sync::LazyLock;

/// The features that this program is built with.
const FEATURES: [(&str, bool); 4] = [
    ("parquet", cfg!(feature = "parquet")),
    ("python", cfg!(feature = "python")),
    ("serve", cfg!(feature = "serve")),
    ("top", cfg!(feature = "top")),
];

/// The number, the commit, the features, and for which machine it is built.
pub(super) fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let on = FEATURES.iter().filter(|(_, is_on)| *is_on);
        let features: Vec<&str> = on.map(|(name, _)| *name).collect();
        let linked = if cfg!(target_feature = "crt-static") { ", static" } else { "" };
        text(env!("FORKTRACE_COMMIT"), &features, &format!("{}{linked}", env!("FORKTRACE_TARGET")))
    });
    &TEXT
}

fn text(commit: &str, features: &[&str], machine: &str) -> String {
    let commit = if commit.is_empty() { "not known" } else { commit };
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    let version = env!("CARGO_PKG_VERSION");
    let schema = forktrace_log::SCHEMA;
    format!(
        "{version}\ncommit    {commit}\nfeatures  {features}\nbuilt for {machine}\nlog       schema {schema}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text("", &[], "x86_64-unknown-linux-gnu"),
            format!(
                "{version}\ncommit    not known\nfeatures  none\nbuilt for x86_64-unknown-linux-gnu\n\
                 log       schema 1"
            )
        );
        let built = text("0123456789ab with changes", &["python", "top"], "x, static");
        assert!(built.contains("commit    0123456789ab with changes\nfeatures  python, top\n"));
    }
}
