//! What fuzz targets call of this room, see [`crate::fuzzing`].

use std::{
    cell::RefCell,
    io::{self, Write},
    path::PathBuf,
    rc::Rc,
};

use super::{
    args::{Color, Events, OutputArgs},
    failure::Failure,
    log_files::Files,
    log_stream::{Walk, Walked},
    output,
    sinks::Json,
};
use crate::report::{Style, sanitize};
use forktrace_log::Input;

/// What is written, kept.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a report has written.
pub(crate) struct Reported {
    /// Colours were asked for in the text.
    pub(crate) color: bool,
    pub(crate) text: Vec<u8>,
    pub(crate) json: Vec<u8>,
    /// Why the report failed, as stderr shows it; empty: it did not.
    pub(crate) failure: String,
}

/// Reports the parts of a log. `choice` says how it is to look.
pub(crate) fn report(parts: &[Vec<u8>], choice: u64) -> Reported {
    let color = choice & 7 == 7;
    let width = (choice & 16 != 0).then_some(80);
    let style = Style {
        color,
        ascii: choice & 8 != 0,
        width,
        whole_stacks: choice & 64 != 0,
        counts_lines: choice & 128 != 0,
    };
    let args = OutputArgs {
        audit: false,
        json: false,
        suspects: choice & 1 == 0,
        quiet: choice & 32 != 0,
        verbose: 0,
        color: Color::Never,
        ascii: style.ascii,
    };
    let (text, json) = (Kept::default(), Kept::default());
    let paths: Vec<PathBuf> = (0..parts.len()).map(|part| format!("{part}.jsonl").into()).collect();
    let files = Files { readable: paths, bad: Vec::new() };
    let failure = walked(parts, &files, &args, style, [&text, &json]).err();
    let failure = failure.map(|failure| sanitize(&failure.to_string()).into_owned());
    let [text, json] = [text, json].map(|kept| kept.0.take());
    Reported { color, text, json, failure: failure.unwrap_or_default() }
}

fn walked(
    parts: &[Vec<u8>],
    files: &Files,
    args: &OutputArgs,
    style: Style,
    [text, json]: [&Kept; 2],
) -> Result<(), Failure> {
    let mut walk = Walk::new(files, u64::MAX, true, |start, event| {
        let text = Box::new(text.clone());
        let mut outputs = output::outputs_to(text, args, style, Events::Waits, event);
        let json = forktrace_log::Writer::new(Box::new(json.clone()) as _, start.clock_offset_ns);
        outputs.json = Some(Json::new(json));
        Ok(output::pipeline(outputs))
    });
    for (part, path) in parts.iter().zip(&files.readable) {
        walk.file(path, Input::new(part.as_slice())?)?;
    }
    let Walked { mut pipeline, caveats } = walk.finish()?;
    pipeline.end()?;
    output::summary(&mut pipeline, &caveats, style, args.quiet)?;
    Ok(())
}
