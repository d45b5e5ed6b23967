//! The terminal: taken over for the screen, and given back whatever happens.

use std::{
    io::{self, Stdout, stdout},
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, ThreadId},
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

/// Whether the terminal is not as it was. Given back twice, it would lose what was printed between.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The screen of this process's terminal. Dropped, it gives the terminal back.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
    _taken: Taken,
}

/// The terminal is not as it was.
struct Taken;

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

impl Screen {
    /// Takes over the terminal. `engine`: the thread whose panic ends the program too, beside this one.
    ///
    /// # Errors
    /// When stdout is no terminal that can be used so.
    pub(super) fn open(engine: ThreadId) -> io::Result<Self> {
        let taken = Taken;
        TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        give_back_in_a_panic([engine, thread::current().id()]);
        execute!(stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(Screen { terminal: Terminal::new(CrosstermBackend::new(stdout()))?, _taken: taken })
    }
}

/// What a panic prints must not go to a screen that disappears. Other threads read hostile input, and their
/// panics are answers.
fn give_back_in_a_panic(threads: [ThreadId; 2]) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if threads.contains(&thread::current().id()) {
            give_back();
        }
        usual(info);
    }));
}

/// Makes the terminal as it was. Nothing more can be done where this fails: then it is gone.
pub(super) fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}
