//! The users and groups of this machine, as its files list them. Users that come from elsewhere, such as a directory
//! service, have no name here.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// The number.
    pub(crate) uid: u32,
    /// The number of the user's own group.
    pub(crate) gid: u32,
}

/// Finds a user by number. The first entry counts, as it does for the system.
pub(crate) fn user(uid: u32) -> Option<User> {
    find_user(&users(), |user| user.uid == uid)
}

/// Finds a user by name.
pub(crate) fn user_named(name: &str) -> Option<User> {
    find_user(&users(), |user| user.name == name)
}

/// Finds the name of a group.
pub(crate) fn group_name(gid: u32) -> Option<String> {
    fs::read_to_string("/etc/group").ok()?.lines().find_map(|line| {
        let (name, number, _) = entry(line)?;
        (number == gid).then(|| name.to_owned())
    })
}

fn users() -> String {
    fs::read_to_string("/etc/passwd").unwrap_or_default()
}

fn find_user(list: &str, is_meant: impl Fn(&User) -> bool) -> Option<User> {
    let user = |line| {
        let (name, uid, rest) = entry(line)?;
        Some(User { name: name.to_owned(), uid, gid: rest.split(':').next()?.parse().ok()? })
    };
    list.lines().filter_map(user).find(is_meant)
}

/// Splits a line of either list into the name, the number, and what follows.
fn entry(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.splitn(4, ':');
    let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
    Some((name, number.parse().ok()?, fields.next().unwrap_or_default()))
}

/// Says whose a path is that may not be used, and how to get at it.
pub(crate) fn way_in(path: &Path) -> String {
    const ROOT: &str = "run the same command with `sudo`";
    // Below a folder that may not be entered, nothing can be looked at.
    let seen = path.ancestors().find_map(|path| Some((path, fs::metadata(path).ok()?)));
    let Some((path, found)) = seen else { return ROOT.to_owned() };
    let owner = user(found.uid()).map_or_else(|| found.uid().to_string(), |user| user.name);
    let group = group_name(found.gid());
    let me = user(rustix::process::geteuid().as_raw()).map_or_else(|| "USER".to_owned(), |user| user.name);
    let mut ways = Vec::new();
    if let Some(group) = group.as_ref().filter(|_| found.gid() != 0 && found.mode() & 0o040 != 0) {
        ways.push(format!("join that group with `sudo usermod -aG {group} {me}` and log in again"));
    }
    ways.push(match found.uid() {
        0 => ROOT.to_owned(),
        _ => format!("run the same command with `sudo -u {owner}`"),
    });
    let (path, group) = (crate::model::shown(path), group.unwrap_or_else(|| found.gid().to_string()));
    format!("`{path}` belongs to the user `{owner}` and the group `{group}`: {}", ways.join(", or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_and_broken_lines_skipped() {
        let list = "root:x:0:0:root:/root:/bin/sh\nno line\nhalf:x:7\nother:x:n:1::/:\n\
                    postgres:x:110:118:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\nalias:x:110:1::/:\n";
        let user = |name: &str, uid, gid| Some(User { name: name.to_owned(), uid, gid });
        assert_eq!(find_user(list, |user| user.uid == 110), user("postgres", 110, 118), "the first one");
        assert_eq!(find_user(list, |user| user.name == "root"), user("root", 0, 0));
        assert_eq!(find_user(list, |user| ["half", "other", "no line"].contains(&user.name.as_str())), None);
    }

    #[test]
    fn root_is_known_by_name_and_number() {
        assert_eq!(user(0).map(|root| root.name), Some("root".to_owned()));
        assert_eq!(user_named("root").map(|root| root.uid), Some(0));
        assert!(group_name(0).is_some());
        assert_eq!(user(3_999_999_999), None);
    }
}
