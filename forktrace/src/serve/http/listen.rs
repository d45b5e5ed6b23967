//! Sockets to listen on: TCP, or a path in the file system with rights for a group.

use std::{
    fmt, fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// Owner and group may connect.
const RIGHTS: u32 = 0o660;
/// In front of a path.
const UNIX: &str = "unix:";

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Nowhere.
    None,
    /// At an address of this host.
    Tcp(SocketAddr),
    /// At a path.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix(UNIX)) {
            ("none", _) => Ok(Address::None),
            (_, Some(path)) if path.starts_with('/') => Ok(Address::Unix(path.into())),
            (_, Some(_)) => Err("use a whole path: unix:/run/forktrace/forktrace.sock".into()),
            _ => text.parse().map(Address::Tcp).map_err(|_| {
                "use an address and a port, such as 127.0.0.1:9842, or unix:/PATH, or none".into()
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::None => f.write_str("none"),
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub enum Bound {
    /// On TCP.
    Tcp(TcpListener),
    /// At a path.
    Unix(UnixListener),
}

impl Bound {
    /// Listens; `None`: nowhere.
    ///
    /// # Errors
    /// When the address is in use or not of this host.
    pub fn bind(address: &Address) -> io::Result<Option<Self>> {
        Ok(match address {
            Address::None => None,
            Address::Tcp(address) => Some(Bound::Tcp(TcpListener::bind(address)?)),
            Address::Unix(path) => {
                remove_stale(path)?;
                let socket = UnixListener::bind(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(RIGHTS))?;
                Some(Bound::Unix(socket))
            }
        })
    }

    /// Registers it with the running tokio runtime.
    pub(super) fn ready(self) -> io::Result<Ready> {
        match self {
            Bound::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(socket).map(Ready::Tcp)
            }
            Bound::Unix(socket) => {
                socket.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(socket).map(Ready::Unix)
            }
        }
    }
}

/// The socket of a forktrace that was killed is still there. Nothing else is removed.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(path)
        }
        _ => Ok(()),
    }
}

/// A socket that the runtime watches.
pub(super) enum Ready {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Ready {
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Ready::Tcp(socket) => socket.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Ready::Unix(socket) => socket.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// A connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in ["none", "127.0.0.1:9842", "[::1]:1", "unix:/run/forktrace.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for bad in ["", "9842", "localhost:1", "unix:a.sock", "unix:"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let address = Address::Unix(path.clone());
        let first = Bound::bind(&address).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, RIGHTS);
        assert!(Bound::bind(&address).is_err(), "somebody listens there");
        drop(first);
        assert!(Bound::bind(&address).is_ok());
        let file = folder.path().join("f");
        fs::write(&file, "x").unwrap();
        assert!(Bound::bind(&Address::Unix(file.clone())).is_err());
        assert_eq!(fs::read_to_string(file).unwrap(), "x");
    }
}
