//! The small programs that are traced: `tests/workloads`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{Need, scratch};

/// The comment that marks the line at which a Python workload's child hangs.
const MARK: &str = "# hangs here";

/// What Python reads first in a workload that is to hang longer.
pub(crate) const LONGER: &str = "longer/sitecustomize.py";

/// The environment in which every workload hangs for `seconds` at least.
pub fn longer(seconds: u32) -> [(&'static str, String); 2] {
    let here = source(LONGER).parent().map(|path| path.display().to_string());
    // The second is where a Python in a root folder of its own finds it.
    let path = format!("{}:/workloads/longer", here.unwrap_or_default());
    [("WORKLOAD_SECONDS", seconds.to_string()), ("PYTHONPATH", path)]
}

/// The source file of a workload in C or Python.
pub fn source(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(program)
}

/// What a workload needs, by its file name.
pub fn need(program: &str) -> Need {
    Language::of(program).map_or(Need::Cc, |language| language.need)
}

/// How the workloads of one language become programs.
#[derive(Debug)]
struct Language {
    /// How their file names end, longest first.
    suffix: &'static str,
    need: Need,
    made: Made,
}

#[derive(Debug)]
enum Made {
    /// Run by this program as they are.
    Interpreted(&'static str),
    /// By this compiler with these options.
    Compiled(&'static [&'static str]),
    /// By this compiler, and linked with the library of this name in pkg-config.
    Linked(&'static [&'static str], &'static str),
    /// By cargo, from `tests/workloads-rust`.
    Built,
}

const C: &[&str] = &["cc"];
const CXX: &[&str] = &["g++", "-std=c++20"];

static LANGUAGES: &[Language] = &[
    Language { suffix: ".py", need: Need::Python, made: Made::Interpreted("python3") },
    Language { suffix: ".pl", need: Need::Perl, made: Made::Interpreted("perl") },
    Language { suffix: ".rb", need: Need::Ruby, made: Made::Interpreted("ruby") },
    Language { suffix: ".php", need: Need::Php, made: Made::Interpreted("php") },
    Language { suffix: ".rs", need: Need::Cargo, made: Made::Built },
    Language { suffix: ".musl.c", need: Need::Musl, made: Made::Compiled(&["musl-gcc"]) },
    Language { suffix: ".omp.c", need: Need::Cc, made: Made::Compiled(&["cc", "-fopenmp"]) },
    Language {
        suffix: ".glib.c",
        need: Need::Library("gio-2.0"),
        made: Made::Linked(C, "gio-2.0"),
    },
    Language {
        suffix: ".nanomsg.c",
        need: Need::Library("nanomsg"),
        made: Made::Linked(C, "nanomsg"),
    },
    Language {
        suffix: ".log4cplus.cc",
        need: Need::Library("log4cplus"),
        made: Made::Linked(CXX, "log4cplus"),
    },
    Language { suffix: ".c", need: Need::Cc, made: Made::Compiled(C) },
    Language { suffix: ".cc", need: Need::Cxx, made: Made::Compiled(CXX) },
];

impl Language {
    fn of(program: &str) -> Option<&'static Language> {
        LANGUAGES.iter().find(|language| program.ends_with(language.suffix))
    }
}

/// The command line that runs a workload, compiled if need be. Its file name says how: `name.py`,
/// `name.pl`, `name.rs`, `name.c`, `name.omp.c` (OpenMP), `name.musl.c` (linked with musl), `name.cc`, or with
/// the name of another library before the ending: `name.glib.c`.
///
/// # Errors
/// When it does not compile.
pub fn command(program: &str, args: &[&str]) -> Result<Vec<String>> {
    let Some(language) = Language::of(program) else {
        bail!("{program} is in none of the languages of the workloads");
    };
    let mut command = match language.made {
        Made::Interpreted(by) => vec![by.to_owned(), source(program).display().to_string()],
        Made::Compiled(compiler) => {
            let name = file_name(program).trim_end_matches(language.suffix);
            rooted(compile(program, name, compiler, &["-O1", "-g"], &[])?)?
        }
        Made::Linked(compiler, library) => {
            let name = file_name(program).trim_end_matches(language.suffix);
            let output =
                Command::new("pkg-config").args(["--cflags", "--libs", library]).output()?;
            let flags = String::from_utf8_lossy(&output.stdout).into_owned();
            let flags: Vec<&str> = flags.split_whitespace().collect();
            let path = compile(program, name, compiler, &["-O1", "-g"], &flags)?;
            vec![path.display().to_string()]
        }
        Made::Built => rooted(built(program.trim_end_matches(".rs"))?)?,
    };
    command.extend(args.iter().map(|arg| (*arg).to_owned()));
    Ok(command)
}

/// The command line of a workload in Python that imports a package of PyPI.
pub fn packaged(program: &str, args: &[&str]) -> Vec<String> {
    let python = crate::reading_python().display().to_string();
    let args = args.iter().map(|arg| (*arg).to_owned());
    [python, source(program).display().to_string()].into_iter().chain(args).collect()
}

/// The file's own name, also where it is in a folder.
fn file_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// A workload in C, compiled once with these flags beside the usual ones, under a name of its own.
///
/// # Errors
/// When it does not compile.
pub fn compiled_with(program: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    compile(program, name, C, flags, &[])
}

/// It needs flags of its own.
const NARROW: &str = "narrow.c";

/// The workload that is a 32-bit program.
///
/// # Errors
/// When it does not compile.
pub fn narrow() -> Result<PathBuf> {
    let flags = ["-m32", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-fno-stack-protector"];
    compiled_with(NARROW, "narrow", &flags)
}

/// `libraries` are the flags that must come after the source.
fn compile(
    program: &str,
    name: &str,
    compiler: &[&str],
    flags: &[&str],
    libraries: &[&str],
) -> Result<PathBuf> {
    static DONE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // Held while compiling, so that nobody runs half a file.
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = done.get(name) {
        return Ok(path.clone());
    }
    if let Some(path) = prebuilt(name) {
        return Ok(path);
    }
    let path = scratch()?.join(name);
    let (compiler, options) = compiler.split_first().context("no compiler")?;
    let output = Command::new(compiler)
        .args(options)
        .args(["-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(&path)
        .args(flags)
        .arg(source(program))
        .args(libraries)
        .output()
        .with_context(|| format!("running {compiler}"))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    done.insert(name.to_owned(), path.clone());
    Ok(path)
}

/// A workload in Rust; all are built at the first call.
fn built(name: &str) -> Result<PathBuf> {
    if let Some(path) = prebuilt(name) {
        return Ok(path);
    }
    let program =
        all_built()?.iter().find(|path| path.file_name().is_some_and(|file| file == name));
    program.cloned().with_context(|| format!("no program {name} was built"))
}

fn all_built() -> Result<&'static [PathBuf]> {
    static PROGRAMS: OnceLock<Result<Vec<PathBuf>, String>> = OnceLock::new();
    let build = || crate::build("forktrace-workloads").map_err(|error| format!("{error:#}"));
    let programs = PROGRAMS.get_or_init(build).as_ref().map_err(|error| anyhow!("{error}"))?;
    Ok(programs)
}

/// The folder of workloads that were compiled elsewhere (`FORKTRACE_TESTS_BUILT`), for a machine
/// without compilers.
pub(crate) fn prebuilt_folder() -> Option<PathBuf> {
    std::env::var_os("FORKTRACE_TESTS_BUILT").map(PathBuf::from)
}

fn prebuilt(name: &str) -> Option<PathBuf> {
    Some(prebuilt_folder()?.join(name)).filter(|path| path.exists())
}

/// Puts every workload that is to be compiled into a folder, for `FORKTRACE_TESTS_BUILT`.
///
/// # Errors
/// When one does not compile.
pub fn build_all(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut programs = all_built()?.to_vec();
    let all = source("");
    for entry in fs::read_dir(&all)?
        .chain(fs::read_dir(all.join("reports"))?)
        .chain(fs::read_dir(all.join("random"))?)
        .chain(fs::read_dir(all.join("buffers"))?)
    {
        let path = entry?.path();
        let name = path.strip_prefix(&all)?.to_string_lossy().into_owned();
        if name == NARROW {
            // Not every compiler makes 32-bit programs.
            programs.extend(narrow());
            continue;
        }
        let language = Language::of(&name);
        if language.is_some_and(|language| matches!(language.made, Made::Compiled(_))) {
            programs.extend(command(&name, &[])?.into_iter().map(PathBuf::from));
        }
    }
    for program in programs {
        let name = program.file_name().context("a program without a name")?;
        fs::copy(&program, folder.join(name))?;
    }
    Ok(())
}

/// The command that runs a program of glibc in another root folder (`FORKTRACE_TESTS_ROOT`), and so
/// with its C library, or here if none is named.
fn rooted(program: PathBuf) -> Result<Vec<String>> {
    static COPYING: Mutex<()> = Mutex::new(());
    let Some(root) = std::env::var_os("FORKTRACE_TESTS_ROOT").map(PathBuf::from) else {
        return Ok(vec![program.display().to_string()]);
    };
    // Held while copying, so that nobody runs half a file.
    let _copying = COPYING.lock().unwrap_or_else(PoisonError::into_inner);
    let inside = Path::new("workloads").join(program.file_name().context("no file name")?);
    let copy = root.join(&inside);
    if !copy.exists() {
        fs::create_dir_all(root.join("workloads"))?;
        install(&program, &copy, 0o755)?;
    }
    let inside = Path::new("/").join(inside).display().to_string();
    Ok(vec!["chroot".into(), root.display().to_string(), inside])
}

/// The number of the line at which a Python workload's child hangs.
///
/// # Errors
/// When no line is marked.
pub fn hanging_line(program: &str) -> Result<u64> {
    marked_line(program, MARK)
}

/// The number of the line that ends with a mark.
///
/// # Errors
/// When there is none.
pub fn marked_line(program: &str, mark: &str) -> Result<u64> {
    let text = fs::read_to_string(source(program))?;
    let line = text.lines().zip(1..).find(|(line, _)| line.ends_with(mark));
    line.map(|(_, number)| number).with_context(|| format!("no line of {program} ends with {mark}"))
}

/// What a workload said about itself: lines `name=number [number]` on its stdout.
#[derive(Clone, Debug, Default)]
pub struct Facts(BTreeMap<String, Vec<(u64, Option<u64>)>>);

impl Facts {
    /// Reads them out of an output that may hold other lines too.
    pub fn read(stdout: &str) -> Self {
        let mut facts = Facts::default();
        for line in stdout.lines() {
            let Some((name, values)) = line.split_once('=') else { continue };
            let mut numbers = values.split(' ').map(str::parse);
            let (Some(Ok(first)), second) = (numbers.next(), numbers.next()) else { continue };
            facts.0.entry(name.to_owned()).or_default().push((first, second.and_then(Result::ok)));
        }
        facts
    }

    /// The only value of a fact.
    ///
    /// # Errors
    /// When it was not said, or more than once.
    pub fn one(&self, name: &str) -> Result<u64> {
        match self.0.get(name).map(Vec::as_slice) {
            Some([(value, _)]) => Ok(*value),
            other => bail!("the workload said {name} not once but {other:?}, of {:?}", self.0),
        }
    }

    /// All values of a fact.
    pub fn all(&self, name: &str) -> impl Iterator<Item = u64> {
        self.timed(name).map(|(value, _)| value)
    }

    /// All values of a fact with the times that were said (`CLOCK_BOOTTIME`, ns).
    pub fn timed(&self, name: &str) -> impl Iterator<Item = (u64, Option<u64>)> {
        self.0.get(name).into_iter().flatten().copied()
    }
}

/// Copies a program to where it is run from. Another process does that: a child that another test makes
/// meanwhile would have the copy open for writing until its exec, and the kernel runs no such file.
///
/// # Errors
/// When it cannot be copied.
pub fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let output =
        Command::new("install").arg("-m").arg(format!("{mode:o}")).args([from, to]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
