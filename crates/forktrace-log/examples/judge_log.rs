//! Judges a recorded log again: `cargo run -p forktrace-log --example judge_log FILE`.

use std::{env, error::Error, fs::File};

use forktrace_log::{Input, LineKind, Reader};
use forktrace_model::{judge::Judge, model::Model};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("name a log: judge_log FILE")?;
    let (mut model, mut judge) = (Model::default(), Judge::default());
    for line in Reader::new(Input::new(File::open(path)?)?) {
        // A damaged line costs only itself.
        let Ok(line) = line else { continue };
        if let LineKind::Event(event) = line.kind {
            model.apply(&event);
            judge.apply(&event, &model);
        }
    }
    for judged in judge.findings() {
        let finding = &judged.finding;
        println!(
            "{:?} ({:?}): process {}, thread {}",
            finding.hazard, finding.confidence, finding.subject.pid, finding.subject.tid
        );
    }
    Ok(())
}
