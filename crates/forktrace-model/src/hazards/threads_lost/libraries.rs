//! Threads of known libraries: by the name that they give to a thread, by the Python file that it runs, or
//! by the library in its native stack.
//!
//! Sources of the names: opentelemetry-sdk 1.39 `sdk/_shared_internal/__init__.py` (`OtelBatch…`) and
//! `sdk/metrics/_internal/export/__init__.py` (`OtelPeriodicExportingMetricReader`), opentelemetry-cpp
//! names none; sentry-sdk 2.48 `worker.py` (`sentry-sdk.BackgroundWorker`); librdkafka 2.12 `rdkafka.c`
//! (`rdk:main`, `rdk:broker…`); libzmq 4.3 `src/ctx.cpp` (`ZMQbg/…`); pymongo 4.15
//! `periodic_executor.py` (`pymongo_…`); CPython 3.14 `Lib/logging/handlers.py`,
//! `Lib/concurrent/futures/thread.py`; ddtrace 4.1 `internal/writer/writer.py`; PyTorch 2.9
//! `torch/utils/data/_utils/pin_memory.py`; gRPC 1.76 `src/core/lib/event_engine` (`event_engine`).

use crate::{
    event::LostThread,
    finding::{Library, Remedy},
};

/// A row: the library, beginnings of the names of its threads, parts of paths of its Python files, parts of
/// the names of its native functions and files.
struct Row {
    library: Library,
    names: &'static [&'static str],
    python: &'static [&'static str],
    native: &'static [&'static str],
}

#[rustfmt::skip]
const TABLE: [Row; 10] = [
    Row { library: Library::OpenTelemetry, names: &["Otel"], python: &["/opentelemetry/sdk/"],
        native: &["opentelemetry::"] },
    Row { library: Library::Sentry, names: &["sentry-sdk", "sentry."], python: &["/sentry_sdk/"],
        native: &["sentry__", "libsentry"] },
    Row { library: Library::Librdkafka, names: &["rdk:"], python: &[],
        native: &["rd_kafka_", "librdkafka"] },
    Row { library: Library::Zeromq, names: &["ZMQbg/"], python: &[], native: &["zmq::", "libzmq"] },
    Row { library: Library::Pymongo, names: &["pymongo_"], python: &["/pymongo/"], native: &[] },
    Row { library: Library::QueueListener, names: &[], python: &["/logging/handlers.py"],
        native: &[] },
    Row { library: Library::Datadog, names: &["ddtrace."], python: &["/ddtrace/"],
        native: &["ddtrace"] },
    Row { library: Library::PinMemory, names: &[], python: &["/_utils/pin_memory.py"], native: &[] },
    Row { library: Library::Futures, names: &[], python: &["/concurrent/futures/thread.py"],
        native: &[] },
    Row { library: Library::Grpc, names: &["event_engine", "grpc_"], python: &[],
        native: &["grpc_core::", "grpc_event_", "libgrpc", "cygrpc"] },
];

/// The library whose thread a lost one is, if it is known.
pub(super) fn of(thread: &LostThread) -> Option<Library> {
    let by_name = |row: &&Row| row.names.iter().any(|name| thread.comm.starts_with(name));
    let by_python = |row: &&Row| {
        let mut files = thread.python.iter().map(|frame| frame.file.as_str());
        files.any(|file| row.python.iter().any(|part| file.contains(part)))
    };
    let by_native = |row: &&Row| {
        let mut frames = thread.stack.iter().flat_map(|stack| &stack.frames);
        frames.any(|frame| {
            let file = frame.module.as_deref().and_then(|path| path.rsplit('/').next());
            let texts = [frame.symbol.as_deref(), file];
            texts
                .into_iter()
                .flatten()
                .any(|text| row.native.iter().any(|part| text.contains(part)))
        })
    };
    let found = TABLE.iter().find(by_name).or_else(|| TABLE.iter().find(by_python));
    found.or_else(|| TABLE.iter().find(by_native)).map(|row| row.library)
}

/// What to do about a library whose threads were lost.
pub(super) fn remedy(library: Library) -> Remedy {
    match library {
        Library::OpenTelemetry => Remedy::Opentelemetry,
        Library::Sentry => Remedy::Sentry,
        Library::Librdkafka => Remedy::Librdkafka,
        Library::Zeromq => Remedy::Zeromq,
        Library::Pymongo => Remedy::Pymongo,
        Library::QueueListener => Remedy::QueueListener,
        Library::Futures => Remedy::PythonExecutor,
        Library::Datadog => Remedy::Datadog,
        Library::Grpc => Remedy::Grpc,
        Library::PinMemory => Remedy::PinMemory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        PythonFrame,
        stacks::{Frame, Stack},
    };

    #[test]
    fn a_thread_is_known_by_its_name_its_python_file_or_its_code() {
        let named = |comm: &str| of(&LostThread { comm: comm.into(), ..LostThread::default() });
        assert_eq!(named("rdk:broker-1"), Some(Library::Librdkafka));
        assert_eq!(named("OtelBatchSpanRe"), Some(Library::OpenTelemetry));
        assert_eq!(named("rdkafka"), None);
        let python = |file: &str| {
            let frame = PythonFrame { file: file.into(), line: 1, function: "f".into() };
            of(&LostThread { python: vec![frame], ..LostThread::default() })
        };
        assert_eq!(python("/usr/lib/python3.11/logging/handlers.py"), Some(Library::QueueListener));
        assert_eq!(python("/srv/app/worker.py"), None);
        let frame = Frame { symbol: Some("zmq::epoll_t::loop".into()), ..Frame::default() };
        let stack = Stack { frames: vec![frame], cut: None };
        let thread = LostThread { stack: Some(Box::new(stack)), ..LostThread::default() };
        assert_eq!(of(&thread), Some(Library::Zeromq));
    }
}
