//! Handles of the programs' maps, with their types.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::{
    Ebpf, Pod,
    maps::{HashMap, MapData, MapError, PerCpuArray},
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Error, error::refused};

pub(super) type Map<K, V> = HashMap<MapData, K, V>;

/// The bytes of a key.
pub(super) fn key<K: IntoBytes + Immutable, const N: usize>(key: &K) -> [u8; N] {
    let mut bytes = [0; N];
    // The maps' types above take N from the key's own size.
    bytes.copy_from_slice(key.as_bytes());
    bytes
}

/// The value in `bytes`, whose size the map's type guarantees.
pub(super) fn value<V: FromBytes + Default>(bytes: &[u8]) -> V {
    V::read_from_bytes(bytes).unwrap_or_default()
}

/// An entry that is gone already is as good as removed; nothing else can go wrong with a removal.
pub(super) fn ignore_missing(result: Result<(), MapError>) {
    if let Err(error) = result
        && !matches!(error, MapError::KeyNotFound)
    {
        tracing::trace!("removing from a map: {error}");
    }
}

pub(super) fn take(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map, Error> {
    ebpf.take_map(name).ok_or_else(|| refused(&format!("map {name}"), &"the object has none"))
}

pub(super) fn hash_map<K: Pod, V: Pod>(ebpf: &mut Ebpf, name: &str) -> Result<Map<K, V>, Error> {
    HashMap::try_from(take(ebpf, name)?).map_err(|e| refused(&format!("map {name}"), &e))
}

/// One more handle of a map that stays where it is.
pub(super) fn again<K: Pod, V: Pod>(ebpf: &Ebpf, name: &str) -> Result<Map<K, V>, Error> {
    let what = format!("map {name}");
    let map = MapData::from_fd(fd_of(ebpf, name)?).map_err(|e| refused(&what, &e))?;
    // Either kind of hash map is read and changed in the same way.
    HashMap::try_from(aya::maps::Map::HashMap(map)).map_err(|e| refused(&what, &e))
}

/// One more descriptor of a hash map that stays where it is.
pub(super) fn fd_of(ebpf: &Ebpf, name: &str) -> Result<OwnedFd, Error> {
    let what = format!("map {name}");
    let (aya::maps::Map::HashMap(map) | aya::maps::Map::LruHashMap(map)) =
        ebpf.map(name).ok_or_else(|| refused(&what, &"the object has none"))?
    else {
        return Err(refused(&what, &"it is no hash map"));
    };
    map.fd().as_fd().try_clone_to_owned().map_err(|e| refused(&what, &e))
}

pub(super) fn per_cpu(ebpf: &mut Ebpf, name: &str) -> Result<PerCpuArray<MapData, u64>, Error> {
    PerCpuArray::try_from(take(ebpf, name)?).map_err(|e| refused(&format!("map {name}"), &e))
}
