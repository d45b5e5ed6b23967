//! The loop of the screen: what is known now, keys, and what they ask for.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, ThreadId},
    time::{Duration, Instant},
};

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::sync::oneshot;

use super::{files, terminal};
use crate::{
    cli::failure::Failure,
    top::{Act, Ruler, Seek, State, View, draw},
};

/// How long a key is waited for before it is looked for something new.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long the screen may take to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where states come from.
pub(super) trait Source: Send + 'static {
    /// What is known now, if that is new.
    fn newest(&mut self) -> Option<State>;

    /// Goes to another moment. `None`: there is only now.
    fn seek(&mut self, seek: Seek) -> Option<Ruler>;

    /// Writes everything as a report to this path. What became of it is told by [`Source::message`].
    fn export(&mut self, path: PathBuf);

    /// What is to be said.
    fn message(&mut self) -> Option<String>;
}

/// A screen on a thread of its own.
pub(super) struct Shown {
    thread: JoinHandle<io::Result<()>>,
    stop: Arc<AtomicBool>,
    ended: oneshot::Receiver<()>,
}

impl Shown {
    /// Shows what comes from a source until somebody quits, or [`Shown::end`]. A panic of this thread gives
    /// the terminal back too.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn begin(mut source: impl Source, view: View) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, ended) = oneshot::channel();
        let (owner, stopped) = (thread::current().id(), Arc::clone(&stop));
        let thread = thread::Builder::new().name("screen".into()).spawn(move || {
            // Dropped when the thread ends, however it does.
            let _ending: oneshot::Sender<()> = ending;
            run(&mut source, view, owner, &stopped)
        })?;
        Ok(Shown { thread, stop, ended })
    }

    /// Waits until somebody has quit.
    pub(super) async fn ended(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.ended).await;
    }

    /// Ends it, and gives the terminal back. Returns the status to exit with.
    ///
    /// # Errors
    /// When the terminal has failed.
    pub(super) fn end(self) -> Result<u8, Failure> {
        self.stop.store(true, Ordering::SeqCst);
        let since = Instant::now();
        // With a terminal that has hung up, crossterm 0.29 never comes back from waiting for a key
        // (`event/source/unix/mio.rs`: it reads again when it has read nothing).
        while !self.thread.is_finished() && since.elapsed() < FAREWELL {
            thread::sleep(PATIENCE / 10);
        }
        if !self.thread.is_finished() {
            terminal::give_back();
            return Ok(0);
        }
        match self.thread.join() {
            Ok(shown) => shown.map(|()| 0).map_err(Failure::Output),
            // Its message has been printed.
            Err(_) => Ok(1),
        }
    }
}

fn run(
    source: &mut impl Source,
    mut view: View,
    owner: ThreadId,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut screen = terminal::Screen::open(owner)?;
    let mut changed = true;
    while !stop.load(Ordering::SeqCst) {
        if let Some(state) = source.newest() {
            view.take(state);
            changed = true;
        }
        if let Some(message) = source.message() {
            view.say(message);
            changed = true;
        }
        if changed {
            screen.terminal.draw(|frame| draw::draw(frame, &mut view))?;
            changed = false;
        }
        if !event::poll(PATIENCE)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                changed = true;
                if !act(view.key(key), source, &mut view) {
                    return Ok(());
                }
            }
            Event::Resize(..) => changed = true,
            _ => {}
        }
    }
    Ok(())
}

/// Does what a key asks for. False: that is to end.
fn act(act: Act, source: &mut impl Source, view: &mut View) -> bool {
    match act {
        Act::Nothing => {}
        Act::Quit => return false,
        Act::Write(id) => {
            if let Some(seen) = view.state().get(id) {
                let said = files::write_finding(seen, view.clock());
                view.say(said);
            }
        }
        Act::Export => source.export(files::report_path()),
        Act::Seek(seek) => {
            if let Some(ruler) = source.seek(seek) {
                view.set_ruler(ruler);
            }
        }
    }
    true
}
