//! Which advice fits a finding.
//!
//! One table, [`TABLE`]; the first row that fits counts. What fits more cases stands further down.

use crate::{
    event::{
        BufferKind, Generator, GeneratorKind,
        stacks::{Frame, Place},
    },
    finding::{Finding, HazardId, Held, Remedy},
    frames::{self, shortened},
    locks::{FamilyRemedy, Language, LockFamily},
    model::Fork,
};

/// The advice for a finding whose stacks are known, about a process that `fork` made.
pub(super) fn of(finding: &Finding, fork: &Fork) -> Option<Remedy> {
    TABLE.iter().find(|row| row.fits(finding, fork)).map(|row| row.remedy)
}

/// For which findings a piece of advice is. An empty list fits all.
struct Row {
    held: &'static [Held],
    language: Option<Language>,
    lock: Option<FamilyRemedy>,
    when: When,
    remedy: Remedy,
}

/// What else must hold.
enum When {
    Always,
    /// The thread that forked had the lock, being the only one or by the lock's own word.
    OfForker,
    /// A program of this name forked.
    Server(&'static str),
    /// It is a finding of this hazard.
    Hazard(HazardId),
    /// The thread waits in a function or a library with this in its name.
    Inside(&'static str),
    /// The thread waits in code with one of these in the name of its function or its file, which the
    /// program, or a line of its script, called.
    Within(&'static [&'static str]),
    /// The lock is data of the C library or of the loader.
    LockOfLibc,
    /// It is about a generator that this is true of.
    Generator(fn(&Generator) -> bool),
    /// It is about a buffer of this kind.
    Buffer(&'static [BufferKind]),
    /// One of the innermost Python lines is in a file with this path.
    PythonIn(&'static [&'static str]),
}

impl Row {
    fn fits(&self, finding: &Finding, fork: &Fork) -> bool {
        let family = finding.wait().map(|wait| wait.lock.family);
        (self.held.is_empty() || finding.wait().is_some_and(|wait| self.held.contains(&wait.held)))
            && self.language.is_none_or(|language| is_in(language, finding, family))
            && self.lock.is_none_or(|remedy| family.is_some_and(|family| family.remedy == remedy))
            && self.when.holds(finding, fork)
    }
}

fn is_in(language: Language, finding: &Finding, family: Option<&LockFamily>) -> bool {
    let of_lock = family.and_then(|family| family.language) == Some(language);
    of_lock || language == Language::Python && !finding.python().is_empty()
}

impl When {
    fn holds(&self, finding: &Finding, fork: &Fork) -> bool {
        match self {
            When::Always => true,
            When::Hazard(hazard) => finding.hazard == *hazard,
            When::Generator(fits) => {
                let first = finding.generators().and_then(|generators| generators.found.first());
                first.is_some_and(fits)
            }
            When::Buffer(kinds) => {
                let first = finding.buffers().and_then(|buffers| buffers.found.first());
                first.is_some_and(|first| kinds.contains(&first.kind))
            }
            When::OfForker => {
                let by_it = finding.holder().is_some_and(|holder| holder.tid == fork.by_tid);
                by_it || fork.lost.is_empty()
            }
            When::Server(name) => fork.by_comm == *name,
            When::Inside(name) => finding.stack().iter().any(|frame| {
                let names = [&frame.symbol, &frame.module];
                names.into_iter().flatten().any(|text| text.contains(name))
            }),
            When::Within(names) => is_within(finding.stack(), names),
            When::LockOfLibc => matches!(
                finding.lock().and_then(|lock| lock.place.as_ref()),
                Some(Place::Module { path, .. }) if frames::is_libc(path)
            ),
            When::PythonIn(files) => {
                let mut inner = finding.python().iter().take(PYTHON_CALLS);
                inner.any(|frame| files.iter().any(|file| frame.file.ends_with(file)))
            }
        }
    }
}

/// Lines of Python's library between the one that waits and the one that the program called:
/// `Condition.wait`, `Queue.get`; `Condition.wait`, `Future.result`, `Executor.map`.
const PYTHON_CALLS: usize = 3;

/// Whether a function, or the file that it is in, has one of these in its name. What generic functions
/// were made for says nothing of where the thread is, nor does what is above an interpreter.
fn is_within(stack: &[Frame], names: &[&str]) -> bool {
    let inner = stack.iter().take_while(|frame| !frame.is_interpreting());
    inner.into_iter().any(|frame| {
        let symbol = frame.symbol.as_deref().map(shortened).unwrap_or_default();
        let file = frame.module.as_deref().and_then(|path| path.rsplit('/').next());
        names.iter().any(|name| symbol.contains(name) || file.is_some_and(|f| f.contains(name)))
    })
}

const LOCK: &[Held] = &[Held::SinceFork];
const WAKER: &[Held] = &[Held::ByNobody, Held::NotKnown];
const INHERITED: &[Held] = &[Held::SinceFork, Held::ByNobody, Held::NotKnown];

const fn row(held: &'static [Held], when: When, remedy: Remedy) -> Row {
    Row { held, language: None, lock: None, when, remedy }
}

impl Row {
    const fn language(self, language: Language) -> Self {
        Row { language: Some(language), ..self }
    }

    const fn lock(self, lock: FamilyRemedy) -> Self {
        Row { lock: Some(lock), ..self }
    }
}

/// Whether the generator's file, or its program, has a name that begins like this.
fn is_of(generator: &Generator, name: &str) -> bool {
    let begins = |path: &String| path.rsplit('/').next().is_some_and(|file| file.starts_with(name));
    [&generator.module, &generator.program].into_iter().flatten().any(begins)
}

static TABLE: &[Row] = &[
    row(
        &[],
        When::Generator(|one| {
            one.type_name.as_ref().is_some_and(|name| name.starts_with("numpy."))
        }),
        Remedy::NumpyGenerator,
    ),
    row(&[], When::Generator(|one| one.type_name.is_some()), Remedy::PythonRandom),
    row(
        &[],
        When::Generator(|one| one.module.as_deref().is_some_and(frames::is_libc)),
        Remedy::LibcRandom,
    ),
    row(&[], When::Generator(|one| is_of(one, "php")), Remedy::PhpRandom),
    row(
        &[],
        When::Generator(|one| one.kind == GeneratorKind::Mt19937 && is_of(one, "ruby")),
        Remedy::RubyRandom,
    ),
    row(
        &[],
        When::Generator(|one| one.kind == GeneratorKind::Lcg48 && is_of(one, "perl")),
        Remedy::PerlRandom,
    ),
    row(&[], When::Generator(|one| one.kind == GeneratorKind::ChaCha), Remedy::RustRandom),
    row(&[], When::Generator(|_| true), Remedy::ReseedAfterFork),
    row(&[], When::Buffer(&[BufferKind::PythonText, BufferKind::PythonBytes]), Remedy::FlushPython),
    row(&[], When::Hazard(HazardId::UnflushedBuffer), Remedy::FlushStdio),
    row(&[Held::ByWaiter], When::Always, Remedy::ReleaseBeforeTaking),
    row(INHERITED, When::Server("uwsgi"), Remedy::Uwsgi),
    row(INHERITED, When::Server("gunicorn"), Remedy::Gunicorn),
    row(INHERITED, When::Server("celery"), Remedy::Celery),
    row(LOCK, When::Inside("_enter_buffered_busy"), Remedy::PythonBufferedFile)
        .language(Language::Python),
    row(LOCK, When::Always, Remedy::InitialiseBeforeFork).lock(FamilyRemedy::Once),
    row(LOCK, When::Always, Remedy::LostThreads).lock(FamilyRemedy::Threads),
    row(LOCK, When::Always, Remedy::LibraryLock).lock(FamilyRemedy::LibraryOwn),
    row(LOCK, When::LockOfLibc, Remedy::LibraryLock),
    row(LOCK, When::OfForker, Remedy::PythonReleaseBeforeFork)
        .language(Language::Python)
        .lock(FamilyRemedy::PythonThreading),
    row(LOCK, When::Always, Remedy::PythonStartMethod)
        .language(Language::Python)
        .lock(FamilyRemedy::PythonThreading),
    row(INHERITED, When::Within(&["polars"]), Remedy::Polars),
    row(INHERITED, When::Within(&["tokenizers"]), Remedy::Tokenizers),
    row(
        INHERITED,
        When::Within(&["cygrpc", "libgrpc", "grpc_core::", "grpc_event_"]),
        Remedy::Grpc,
    ),
    row(INHERITED, When::Within(&["rdkafka", "rd_kafka_"]), Remedy::Librdkafka),
    row(INHERITED, When::Within(&["libzmq", "zmq::", "zmq_"]), Remedy::Zeromq),
    row(
        INHERITED,
        When::Within(&["runtime.futex", "runtime.notesleep", "runtime_init_done"]),
        Remedy::GoRuntime,
    ),
    row(INHERITED, When::Within(&["libjvm"]), Remedy::Jvm),
    row(INHERITED, When::Within(&["openblas", "blas_thread", "exec_blas"]), Remedy::Openblas),
    row(INHERITED, When::Within(&["spdlog"]), Remedy::Spdlog),
    row(LOCK, When::Within(&["libcrypto", "libssl", "CRYPTO_THREAD_"]), Remedy::Openssl),
    row(INHERITED, When::Within(&["libglib-", "libgio-", "g_mutex_", "g_cond_"]), Remedy::Glib),
    row(INHERITED, When::Within(&["libruby", "rb_thread_", "rb_nogvl"]), Remedy::Ruby),
    row(LOCK, When::Always, Remedy::PythonNativeLock).language(Language::Python),
    row(LOCK, When::Inside("std::io::stdio"), Remedy::RustStdout).language(Language::Rust),
    row(LOCK, When::Always, Remedy::RustLock).language(Language::Rust),
    row(LOCK, When::OfForker, Remedy::ReleaseBeforeFork),
    row(LOCK, When::Always, Remedy::LockAtFork),
    row(WAKER, When::Inside("libgomp"), Remedy::Openmp),
    row(
        WAKER,
        When::PythonIn(&["/queue.py", "/concurrent/futures/_base.py"]),
        Remedy::PythonExecutor,
    ),
    row(WAKER, When::Always, Remedy::PythonLostThreads).language(Language::Python),
    row(WAKER, When::Always, Remedy::LostThreads),
    row(&[], When::Hazard(HazardId::HeldOpen), Remedy::CloseUnusedEnds),
    row(&[], When::Hazard(HazardId::OrphanedLock), Remedy::PythonSharedLock)
        .language(Language::Python),
    row(&[], When::Hazard(HazardId::OrphanedLock), Remedy::SharedLock),
    row(&[], When::Hazard(HazardId::Deadlock), Remedy::BreakCircle),
    row(&[], When::Hazard(HazardId::LostWaker), Remedy::PythonLostThreads)
        .language(Language::Python),
    row(&[], When::Hazard(HazardId::LostWaker), Remedy::LostThreads),
];
