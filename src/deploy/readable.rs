//! Whether the user that Asterisk runs as may read the generated files. Asterisk silently removes all
//! objects of a file that it may not read, and its log says nothing, so that this is found out before
//! anything moves.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    Comparison, Host,
    asterisk::{Asterisk, AsteriskError},
};
use crate::{
    accounts,
    fs::{FILE_MODE, FOLDER_MODE},
};

/// The capabilities that let a process read every file: `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH`.
const READS_ALL: u64 = 0b110;

/// Asterisk may not read where the generated files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Who may not read what.
    pub(crate) message: String,
    /// The commands that let it.
    pub(crate) hint: String,
}

/// The user that Asterisk runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
    /// The further groups.
    groups: Vec<u32>,
}

/// Who owns a file or folder, and its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Access {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Host {
    /// Finds out whether the user its Asterisk runs as may read the generated files; `None` if it may, or
    /// if Asterisk may not be asked.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) fn unreadable(&self, comparison: &Comparison) -> Result<Option<Unreadable>, AsteriskError> {
        let files: Vec<String> = comparison.kept_files().map(|file| file.path.clone()).collect();
        self.asterisk.as_ref().map_or(Ok(None), |asterisk| check(asterisk, &self.config_dir, &files))
    }
}

/// Finds out whether Asterisk's user may read generated files; `None` if it may, or if its user is not
/// known, as that of an Asterisk in a container is not.
///
/// # Errors
/// If Asterisk cannot be asked.
fn check(asterisk: &Asterisk, config_dir: &Path, files: &[String]) -> Result<Option<Unreadable>, AsteriskError> {
    let settings = asterisk.ask("core show settings")?;
    let Some(user) = pid_file(settings.raw()).and_then(|file| user_behind(&file)) else {
        return Ok(None);
    };
    let me = rustix::process::geteuid().as_raw();
    let blocked = files.iter().filter_map(|file| blocked(&user, me, config_dir, file));
    Ok(said(&user, &blocked.collect()))
}

/// Reads from Asterisk's own settings where it noted its process.
fn pid_file(settings: &str) -> Option<PathBuf> {
    let line = settings.lines().find_map(|line| line.trim().strip_prefix("PID file:"))?;
    Some(PathBuf::from(line.trim())).filter(|path| path.is_absolute())
}

/// Finds the user of the process that a file notes. Its user also owns the file: otherwise the number is
/// that of another process, as it is if Asterisk runs in a container. Only Linux has `/proc`.
fn user_behind(pid_file: &Path) -> Option<User> {
    let unknown = |error: &std::io::Error| tracing::debug!(%error, "the user of Asterisk is not known");
    let owner = fs::metadata(pid_file).inspect_err(unknown).ok()?.uid();
    let pid: u32 = fs::read_to_string(pid_file).inspect_err(unknown).ok()?.trim().parse().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).inspect_err(unknown).ok()?;
    user_of(&status).filter(|user| user.uid == owner)
}

/// Reads the user from a process's status; `None` if the process may read every file.
fn user_of(status: &str) -> Option<User> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // Real, effective, saved, and that of the file system.
    let id = |name: &str| field(name)?.split_whitespace().nth(3)?.parse().ok();
    let capabilities = u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?;
    let groups = field("Groups:")?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let user = User { uid: id("Uid:")?, gid: id("Gid:")?, groups };
    (user.uid != 0 && capabilities & READS_ALL == 0).then_some(user)
}

impl User {
    /// Tells whether the user has a permission: 4 to read, 1 to enter.
    fn may(&self, permission: u32, access: Access) -> bool {
        let shift = if access.uid == self.uid {
            6
        } else if access.gid == self.gid || self.groups.contains(&access.gid) {
            3
        } else {
            0
        };
        access.mode >> shift & permission == permission
    }
}

/// Finds the first folder that keeps a user from a generated file, as it is or as the apply would make it.
/// One with an access list has rules that the mode does not show, and is not judged.
fn blocked(user: &User, me: u32, config_dir: &Path, file: &str) -> Option<Blocked> {
    let real = config_dir.canonicalize().ok()?;
    let mut above: Vec<&Path> = real.ancestors().collect();
    above.reverse();
    let mut last = None;
    for folder in above {
        let access = access_of(folder)?;
        if !user.may(1, access) {
            return Some(Blocked { folder: folder.to_owned(), missing: false, shared: true });
        }
        last = Some(access);
    }
    let mut access = last?;
    let (below, _) = file.rsplit_once('/')?;
    let mut folder = real;
    for name in below.split('/') {
        folder.push(name);
        let missing = !folder.exists();
        access = if missing {
            Access { uid: given(me, access.uid), gid: access.gid, mode: FOLDER_MODE }
        } else {
            access_of(&folder)?
        };
        // Asterisk lists the folders to find what its line with a `*` includes.
        if !user.may(5, access) {
            return Some(Blocked { folder, missing, shared: false });
        }
    }
    let file = Access { uid: given(me, access.uid), gid: access.gid, mode: FILE_MODE };
    let missing = !folder.exists();
    (!user.may(4, file)).then_some(Blocked { folder, missing, shared: false })
}

/// Only root can give a file to the owner of its folder.
fn given(me: u32, owner: u32) -> u32 {
    if me == 0 { owner } else { me }
}

/// A folder that keeps Asterisk from the generated files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Blocked {
    folder: PathBuf,
    /// Whether the apply would make it.
    missing: bool,
    /// Whether more than our files are in it.
    shared: bool,
}

#[cfg(target_os = "linux")]
fn has_access_list(folder: &Path) -> bool {
    ["system.posix_acl_access", "system.posix_acl_default"]
        .iter()
        .any(|name| rustix::fs::getxattr(folder, *name, &mut [0_u8; 0][..]).is_ok_and(|size| size > 0))
}

#[cfg(not(target_os = "linux"))]
fn has_access_list(_: &Path) -> bool {
    false
}

fn access_of(folder: &Path) -> Option<Access> {
    let found = fs::metadata(folder).ok().filter(|_| !has_access_list(folder))?;
    Some(Access { uid: found.uid(), gid: found.gid(), mode: found.mode() })
}

/// Says who may not read what, and which commands let it.
fn said(user: &User, blocked: &BTreeSet<Blocked>) -> Option<Unreadable> {
    let first = blocked.first()?;
    let name = accounts::user(user.uid).map_or_else(|| user.uid.to_string(), |user| user.name);
    let group = accounts::group_name(user.gid).unwrap_or_else(|| user.gid.to_string());
    let verb = if first.missing { "would not be able to read" } else { "may not read" };
    let folders: Vec<String> = blocked.iter().map(|blocked| format!("`{}`", blocked.folder.display())).collect();
    let command = |blocked: &Blocked| {
        let folder = shlex::try_quote(blocked.folder.to_str()?).ok()?.into_owned();
        Some(if blocked.missing {
            format!("install -d -m 0750 -g {group} {folder}")
        } else if blocked.shared {
            format!("chmod o+x {folder}")
        } else {
            format!("chgrp {group} {folder} && chmod g+rx {folder}")
        })
    };
    let commands: Vec<String> = blocked.iter().filter_map(command).collect();
    Some(Unreadable {
        message: format!(
            "Asterisk runs as the user `{name}`, who {verb} {}, and would silently remove every object in it",
            folders.join(" and ")
        ),
        hint: format!("let its group read: {}", commands.join(" && ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read_from_asterisks_settings() {
        let settings =
            "  Run/Sockets directory:       /run/asterisk\n  PID file:                    /run/asterisk/pid\n";
        assert_eq!(pid_file(settings), Some(PathBuf::from("/run/asterisk/pid")));
        assert_eq!(pid_file("No such command"), None);
    }

    #[test]
    fn a_user_that_reads_everything_needs_no_permission() {
        let status = |uid: u32, capabilities: &str| {
            format!(
                "Name:\tasterisk\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t7\t7\t7\t7\nGroups:\t7 20\nCapEff:\t{capabilities}\n"
            )
        };
        assert_eq!(user_of(&status(110, "0000000000001000")), Some(User { uid: 110, gid: 7, groups: vec![7, 20] }));
        assert_eq!(user_of(&status(0, "0000000000000000")), None);
        assert_eq!(user_of(&status(110, "0000000000000002")), None);
        assert_eq!(user_of("Name:\tasterisk\n"), None);
    }

    /// As the kernel decides: the owner's bits hold for the owner, even if the group may more.
    #[test]
    fn the_first_class_that_fits_decides() {
        let user = User { uid: 110, gid: 7, groups: vec![20] };
        let access = |uid, gid, mode| Access { uid, gid, mode };
        assert!(
            user.may(4, access(0, 7, 0o640)) && user.may(4, access(0, 20, 0o640)) && user.may(4, access(110, 0, 0o600))
        );
        assert!(!user.may(4, access(0, 0, 0o640)) && user.may(4, access(0, 0, 0o644)));
        assert!(!user.may(4, access(110, 7, 0o040)) && !user.may(4, access(0, 7, 0o604)));
        assert!(user.may(5, access(0, 7, 0o750)) && !user.may(5, access(0, 7, 0o710)));
    }

    #[test]
    fn the_hint_is_the_command_that_helps() {
        let user = User { uid: 4_000_110, gid: 4_000_007, groups: Vec::new() };
        let blocked = |folder: &str, missing| Blocked { folder: folder.into(), missing, shared: false };
        let both = [blocked("/e/pjsip.d/acme", false), blocked("/e/extensions.d", true)].into_iter().collect();
        let said = said(&user, &both).unwrap();
        assert_eq!(
            said.hint,
            "let its group read: install -d -m 0750 -g 4000007 /e/extensions.d \
             && chgrp 4000007 /e/pjsip.d/acme && chmod g+rx /e/pjsip.d/acme"
        );
        assert!(said.message.starts_with("Asterisk runs as the user `4000110`, who "), "{}", said.message);
        assert!(self::said(&user, &BTreeSet::new()).is_none());
    }
}
