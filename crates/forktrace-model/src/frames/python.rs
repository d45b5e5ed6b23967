//! What a Python frame is: part of the program, or of Python's library.

use crate::event::PythonFrame;

impl PythonFrame {
    /// Whether it is of Python's standard library. The path decides: `/usr/lib/python3.11/threading.py`,
    /// `<frozen runpy>`, or a path relative to the library.
    pub fn is_of_library(&self) -> bool {
        let file = self.file.as_str();
        let library = file.contains("/lib/python")
            && !file.contains("/site-packages/")
            && !file.contains("/dist-packages/");
        let inside = ["threading.py", "multiprocessing/", "concurrent/", "queue.py", "logging/"];
        library || file.starts_with('<') || inside.iter().any(|name| file.starts_with(name))
    }
}
