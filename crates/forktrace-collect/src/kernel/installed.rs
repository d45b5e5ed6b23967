//! Whether forktrace was given more than who runs it has, by the way in which it is installed.

use caps::CapSet;
use nix::unistd::{getegid, geteuid, getgid, getuid};

use super::Error;

/// Fails if whoever runs forktrace got privilege from its file: it shows the memory of other
/// processes, writes files where its user asks, and would do so for every user of the host.
///
/// # Errors
/// [`Error::Installed`], with the remedy.
pub fn check_installation() -> Result<(), Error> {
    // SAFETY: it looks a number up in what the kernel gave this process at its start.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let set_id = getuid() != geteuid() || getgid() != getegid();
    match secure && (set_id || has_gained()) {
        false => Ok(()),
        true => {
            let path = std::env::current_exe().unwrap_or_else(|_| "forktrace".into());
            Err(Error::Installed { path })
        }
    }
}

/// Whether a user other than root has what is not handed on to every program: only a file's own
/// capabilities give that (`cap_bprm_creds_from_file`, `security/commoncap.c`, Linux 6.18). A security
/// module may set `AT_SECURE` too, and gives nothing.
fn has_gained() -> bool {
    let set = |set| caps::read(None, set).unwrap_or_default();
    !getuid().is_root() && !set(CapSet::Permitted).is_subset(&set(CapSet::Ambient))
}
