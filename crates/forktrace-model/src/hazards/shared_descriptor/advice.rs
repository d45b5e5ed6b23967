//! Which advice fits a shared connection: by what is usually at its other end, else by the program.

use crate::{finding::Remedy, model::Process};

/// Ports that IANA's registry (2026) has for a service, and the ends of paths that it listens at by default.
const SERVICES: [(&[u16], &[&str], Remedy); 5] = [
    (&[5432, 6432], &["/.s.PGSQL.5432", "/.s.PGSQL.6432"], Remedy::ConnectionPostgres),
    (&[3306, 33060], &["/mysqld.sock", "/mysql.sock", "/mysqlx.sock"], Remedy::ConnectionMysql),
    (
        &[6379, 6380],
        &["/redis.sock", "/redis-server.sock", "/valkey.sock"],
        Remedy::ConnectionRedis,
    ),
    (&[27017], &["/mongodb-27017.sock"], Remedy::ConnectionMongo),
    (&[5671, 5672], &[], Remedy::ConnectionAmqp),
];

/// Parts of the names of programs that have hooks of their own.
const PROGRAMS: [(&str, Remedy); 7] = [
    ("gunicorn", Remedy::ConnectionGunicorn),
    ("celery", Remedy::ConnectionCelery),
    ("uwsgi", Remedy::ConnectionUwsgi),
    ("puma", Remedy::ConnectionRuby),
    ("ruby", Remedy::ConnectionRuby),
    ("php", Remedy::ConnectionPhp),
    ("python", Remedy::ConnectionPython),
];

/// The advice for a file whose offset several processes move.
pub(super) fn of_file() -> Remedy {
    Remedy::FileOffset
}

/// The advice for an epoll instance in the program of a process.
pub(super) fn of_epoll(process: &Process) -> Remedy {
    if is_of(process, "python") { Remedy::EpollPython } else { Remedy::Epoll }
}

/// The advice for a connection to `peer` in the program of a process.
pub(super) fn of(peer: &str, process: &Process) -> Remedy {
    let port = peer.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let service = SERVICES.iter().find(|(ports, paths, _)| {
        port.is_some_and(|port| ports.contains(&port))
            || paths.iter().any(|end| peer.ends_with(end))
    });
    if let Some((.., remedy)) = service {
        return *remedy;
    }
    let program = PROGRAMS.iter().find(|(part, _)| is_of(process, part));
    program.map_or(Remedy::Connection, |(_, remedy)| *remedy)
}

/// Whether a program's name, or the process's, has this part.
fn is_of(process: &Process, part: &str) -> bool {
    let exe = process.exec.as_ref().map(|exec| exec.filename.as_str()).or(process.exe.as_deref());
    let name = exe.unwrap_or_default().rsplit('/').next().unwrap_or_default();
    name.contains(part) || process.comm.contains(part)
}
