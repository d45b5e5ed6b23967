//! A connection that several processes of the trace use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_number;

/// Something new about a socket that more than one process has used. The event's task has just used it.
/// What it sends and receives is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SocketUse {
    /// The socket's inode: `socket:[…]` in `/proc/<pid>/fd`.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub inode: u64,
    /// What it is.
    pub family: SocketFamily,
    /// To what it is connected: address and port, or the path of a Unix socket.
    pub peer: String,
    /// Its own address and port; empty for a Unix socket.
    pub local: String,
    /// What the event's process did with it; where it is the second process that came to it, also what
    /// the first one did. Counts are exact to a few: processes may use it at once.
    pub users: Vec<SocketUser>,
    /// How often it was used by another process than before.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub turns: u64,
    /// Records of TLS were sent over it.
    pub tls: bool,
    /// The process that shut it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut_by: Option<u32>,
    /// It was shut down for receiving.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub receives_no_more: bool,
    /// How the peer has ended the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<PeerEnd>,
}

/// What a socket is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SocketFamily {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// A Unix socket that was connected by its path.
    Unix,
    /// Another.
    #[default]
    Other,
}

/// One process's use of a socket since its latest fork, or since the second process came to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SocketUser {
    /// The process.
    pub pid: u32,
    /// Its descriptor of the socket, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// The first use that is counted, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub first_ns: u64,
    /// The latest use, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub last_ns: u64,
    /// Calls that sent something.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub sends: u64,
    /// Calls that received something.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub receives: u64,
    /// Receives before which another process had used the socket since this one's latest send.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub crossings: u64,
    /// Receives before which another process had sent latest.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub after_others: u64,
    /// Calls that failed because the connection had ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// The latest of these: an error number, or 0 for the end of the stream.
    #[serde(skip_serializing_if = "is_zero")]
    pub error: u32,
}

/// How the peer ended a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PeerEnd {
    /// The process that had used it last.
    pub after: u32,
    /// It had sent something; otherwise it had received.
    pub sent: bool,
    /// How long after that the peer ended it, ns; of a Unix socket, until another process found that.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub after_ns: u64,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
