//! Something that several processes of a fork family have open, and use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_number;

/// What a finding tells of something that both sides of a fork use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DescriptorDetail {
    /// What it is.
    pub class: DescriptorClass,
    /// Tells it from others of its class in one trace: of a connection, its inode.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub id: u64,
    /// Its inode; 0 for an epoll instance.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub inode: u64,
    /// To what it is connected, or its path; empty for an epoll instance.
    pub name: String,
    /// Its own address, where it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local: String,
    /// Records of TLS were sent over it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// Since when more than one process uses it, `CLOCK_BOOTTIME`, ns; 0: not known.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub since_ns: u64,
    /// Who uses it, the eldest first.
    pub users: Vec<DescriptorUser>,
}

/// What is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DescriptorClass {
    /// A stream socket with a peer outside of the family.
    #[default]
    Connection,
    /// An epoll instance.
    Epoll,
    /// A regular file.
    File,
}

/// A process that uses what is shared, and what it has done with it since the fork, as far as it is
/// counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DescriptorUser {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// It had ended when this was judged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// Its descriptor, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// Of a connection, calls that sent something; of a file, bytes that it wrote at least.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub sends: u64,
    /// The same for receiving and reading; of an epoll instance, in how many looks it waited.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub receives: u64,
}
