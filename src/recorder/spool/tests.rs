//! What waits in the spool survives: torn and damaged lines, failed syncs, full segments, two owners.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::calls::{Event, Status, What};

fn event(number: usize) -> Event {
    Event {
        call_sid: format!("CA{number:032}"),
        tenant: Some("acme".parse().unwrap()),
        at: "2026-11-21T10:00:00Z".parse().unwrap(),
        what: What::Status { status: Status::Completed, duration: Some(7) },
    }
}

fn append(spool: &Spool, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        spool.append(&encode(&event(number)).unwrap()).unwrap();
    }
}

/// Reads all that waits, and delivers it.
fn drain(reader: &mut Reader, open_from: u64) -> (Vec<String>, usize) {
    let (mut sids, mut bad) = (Vec::new(), 0);
    loop {
        let batch = reader.next(open_from, 7).unwrap();
        bad += batch.bad;
        sids.extend(batch.events.iter().map(|event| event.call_sid.clone()));
        reader.delivered(&batch).unwrap();
        if batch.is_empty() {
            reader.check().unwrap();
            return (sids, bad);
        }
    }
}

fn sids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| event(number).call_sid).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_appended_is_read_once_and_in_order() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::claim(root.path()).unwrap();
    let mut reader = spool.reader().unwrap();
    append(&spool, 0..20);
    assert_eq!(drain(&mut reader, spool.open_from()), (sids(0..20), 0));
    append(&spool, 20..25);
    drop((spool, reader));
    // The next owner goes on behind what was delivered, and its own comes after.
    let spool = Spool::claim(root.path()).unwrap();
    let mut reader = spool.reader().unwrap();
    append(&spool, 25..30);
    assert_eq!(drain(&mut reader, spool.open_from()), (sids(20..30), 0));
    spool.close();
    assert_eq!(drain(&mut reader, spool.open_from()), (vec![], 0));
    assert_eq!(files(&root.path().join("0")), ["checkpoint", "lock"]);
    drop((spool, reader));
    // Numbers are not given again, or the checkpoint would hide what is new.
    let spool = Spool::claim(root.path()).unwrap();
    append(&spool, 30..31);
    assert_eq!(drain(&mut spool.reader().unwrap(), spool.open_from()), (sids(30..31), 0));
}

#[test]
fn segments_go_when_all_of_them_was_delivered() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::claim(root.path()).unwrap();
    let mut large = event(0);
    large.call_sid = "x".repeat(LARGEST / 2);
    let line = encode(&large).unwrap();
    for _ in 0..40 {
        spool.append(&line).unwrap();
    }
    assert_eq!(files(spool.folder().path()).len(), 1 + 3, "20 MB are three segments");
    let mut reader = spool.reader().unwrap();
    let before = reader.waiting().unwrap();
    for _ in 0..5 {
        let there = files(spool.folder().path());
        let batch = reader.next(spool.open_from(), 4).unwrap();
        assert_eq!(files(spool.folder().path()), there, "read is not delivered");
        reader.delivered(&batch).unwrap();
    }
    assert_eq!(files(spool.folder().path()).len(), 2 + 2);
    assert!(reader.waiting().unwrap() < before);
    assert_eq!(drain(&mut reader, spool.open_from()).0.len(), 20);
    assert_eq!(reader.waiting().unwrap(), 0);
    large.call_sid = "x".repeat(LARGEST);
    assert!(encode(&large).is_err(), "what could not be read is not written");
}

#[test]
fn a_torn_tail_is_left_out_and_a_bad_middle_set_aside() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::claim(root.path()).unwrap();
    append(&spool, 0..10);
    drop(spool);
    let folder = root.path().join("0");
    let path = folder.join(format!("{:020}.calls", 1));
    let whole = fs::read(&path).unwrap();
    let length = whole.len() / 10;
    // Wherever the last line is cut, the others are there, and nothing is said to be damaged.
    for cut in 1..=length {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut reader = Reader::open(&folder).unwrap();
        let batch = reader.next(u64::MAX, 100).unwrap();
        assert_eq!((batch.events.len(), batch.bad), (9, 0), "cut at {cut}");
    }
    // Whichever byte is damaged, the line it is in is set aside, and no other.
    for at in 3 * length..4 * length {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let batch = Reader::open(&folder).unwrap().next(u64::MAX, 100).unwrap();
        // A damaged line break costs the line behind it as well.
        let lost = if at == 4 * length - 1 { 2 } else { 1 };
        assert_eq!(batch.events.len(), 10 - lost, "byte {at}");
        assert!(batch.bad >= 1, "byte {at}");
    }
    // Zeros, as a power cut leaves them, and no line break for a long time.
    let mut zeros = whole[..2 * length].to_vec();
    zeros.extend(vec![0; 3 * LARGEST]);
    zeros.extend(b"\n");
    zeros.extend(&whole[5 * length..]);
    fs::write(&path, &zeros).unwrap();
    let mut reader = Reader::open(&folder).unwrap();
    let (read, bad) = drain(&mut reader, u64::MAX);
    assert_eq!((read, bad > 0), (sids((0..2).chain(5..10)), true));
    assert_eq!(files(&folder), [format!("{:020}.bad", 1), "checkpoint".to_owned(), "lock".to_owned()]);
}

#[test]
fn a_damaged_checkpoint_or_a_missing_segment_stops_nothing() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::claim(root.path()).unwrap();
    let folder = root.path().join("0");
    let mut reader = spool.reader().unwrap();
    for part in 0..3 {
        append(&spool, part * 10..part * 10 + 10);
        spool.close();
    }
    let batch = reader.next(spool.open_from(), 5).unwrap();
    reader.delivered(&batch).unwrap();
    reader.check().unwrap();
    fs::remove_file(folder.join(format!("{:020}.calls", 2))).unwrap();
    let rest = || drain(&mut Reader::open(&folder).unwrap(), u64::MAX).0;
    fs::write(folder.join("checkpoint"), "0badbad0 1 9999\n").unwrap();
    assert_eq!(rest(), sids((0..10).chain(20..30)), "all that is there, some of it again");
    assert_eq!(rest(), sids([]));
}

#[test]
fn after_a_failed_sync_what_may_be_lost_is_written_again() {
    static SYNCS: AtomicU32 = AtomicU32::new(0);

    let root = tempfile::tempdir().unwrap();
    let mut spool = Spool::claim(root.path()).unwrap();
    spool.sync = |file| match SYNCS.fetch_add(1, Ordering::Relaxed) {
        1 => Err(io::Error::other("the disk said no")),
        _ => file.sync_data(),
    };
    append(&spool, 0..3);
    spool.sync().unwrap();
    append(&spool, 3..5);
    assert!(spool.sync().unwrap_err().to_string().starts_with("cannot sync a segment in"));
    append(&spool, 5..6);
    spool.sync().unwrap();
    spool.sync().unwrap();
    assert_eq!(SYNCS.load(Ordering::Relaxed), 3, "what is synced is not synced again");
    let second = fs::read_to_string(segment_path(&spool, 2)).unwrap();
    let again: Vec<String> = second.lines().map(|line| decode(line.as_bytes()).unwrap().call_sid).collect();
    assert_eq!(again, sids(3..6));
    assert_eq!(drain(&mut spool.reader().unwrap(), spool.open_from()).0, sids((0..5).chain(3..6)));
}

#[test]
fn a_disk_that_never_syncs_is_not_filled_with_what_it_has() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = Spool::claim(root.path()).unwrap();
    spool.sync = |_| Err(io::Error::other("the disk said no"));
    append(&spool, 0..10);
    let size = || -> u64 {
        let segments = folder::segments(spool.folder().path()).unwrap();
        segments.into_iter().map(|number| fs::metadata(segment_path(&spool, number)).unwrap().len()).sum()
    };
    let once = size();
    for _ in 0..10 {
        assert!(spool.sync().is_err() || lock(&spool.written).groups.is_empty());
    }
    assert_eq!(size(), 2 * once, "it is written again once");
    assert!(spool.unsynced() > Duration::ZERO, "it is known not to be durable");
    assert_eq!(drain(&mut spool.reader().unwrap(), spool.open_from()).0.len(), 20, "the database gets it");
}

fn segment_path(spool: &Spool, number: u64) -> PathBuf {
    folder::segment(spool.folder().path(), number)
}

#[test]
fn two_owners_have_a_folder_each_and_the_living_read_what_the_dead_left() {
    let root = tempfile::tempdir().unwrap();
    let one = Spool::claim(root.path()).unwrap();
    let two = Spool::claim(root.path()).unwrap();
    assert_ne!(one.folder().path(), two.folder().path());
    append(&one, 0..3);
    append(&two, 3..5);
    assert!(Folder::orphans(root.path()).unwrap().folders.is_empty(), "both live");
    drop(one);
    let orphans = Folder::orphans(root.path()).unwrap().folders;
    assert_eq!(orphans.len(), 1);
    let mut reader = Reader::open(orphans[0].path()).unwrap();
    // Whoever starts meanwhile does not get in the way.
    let three = Spool::claim(root.path()).unwrap();
    assert_eq!(three.folder().path(), root.path().join("2"));
    assert_eq!(drain(&mut reader, u64::MAX).0, sids(0..3));
    drop(orphans);
    assert!(Folder::orphans(root.path()).unwrap().folders.is_empty(), "nothing waits any more");
}

#[test]
fn lines_from_many_threads_are_not_mixed() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::claim(root.path()).unwrap();
    let mut reader = spool.reader().unwrap();
    let mut read = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|part| {
                scope.spawn({
                    let spool = &spool;
                    move || append(spool, part * 500..part * 500 + 500)
                })
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            spool.sync().unwrap();
            read.extend(drain(&mut reader, spool.open_from()).0);
        }
    });
    read.extend(drain(&mut reader, spool.open_from()).0);
    read.sort();
    assert_eq!(read, sids(0..2000));
}

/// Calls were written into a file that no reader could find any more.
#[test]
fn a_segment_or_folder_that_another_process_removes_is_written_again() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::claim(root.path()).unwrap();
    append(&spool, 0..3);
    assert!(!spool.heal().unwrap(), "all is well");
    fs::remove_file(segment_path(&spool, 1)).unwrap();
    append(&spool, 3..5);
    assert!(spool.heal().unwrap());
    assert!(!spool.heal().unwrap());
    append(&spool, 5..6);
    let mut reader = spool.reader().unwrap();
    assert_eq!(drain(&mut reader, spool.open_from()).0, sids(0..6));

    fs::remove_dir_all(root.path().join("0")).unwrap();
    append(&spool, 6..8);
    assert!(spool.heal().unwrap());
    append(&spool, 8..9);
    let mut read = drain(&mut reader, spool.open_from()).0;
    read.dedup();
    assert!(read.ends_with(&sids(6..9)), "{read:?}");
    assert!(Folder::orphans(root.path()).unwrap().folders.is_empty(), "the new folder is locked, too");
    assert_eq!(Spool::claim(root.path()).unwrap().folder().path(), root.path().join("1"));
}

#[test]
fn a_number_that_is_taken_is_left_out() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::claim(root.path()).unwrap();
    fs::write(segment_path(&spool, 1), "").unwrap();
    append(&spool, 0..2);
    assert_eq!(drain(&mut spool.reader().unwrap(), spool.open_from()).0, sids(0..2));
}

/// One such segment held up all that stood behind it.
#[test]
fn a_segment_that_cannot_be_read_is_set_aside_and_kept() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::claim(root.path()).unwrap();
    for part in 0..3 {
        append(&spool, part * 10..part * 10 + 10);
        spool.close();
    }
    let path = segment_path(&spool, 2);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let mut reader = spool.reader().unwrap();
    assert_eq!(reader.set_segment_aside().unwrap(), None);
    let batch = reader.next(spool.open_from(), 100).unwrap();
    assert_eq!((batch.events.len(), batch.full), (10, true), "what stands in front of it comes first");
    reader.delivered(&batch).unwrap();
    for _ in 0..3 {
        assert!(reader.next(spool.open_from(), 100).is_err());
    }
    let renamed = reader.set_segment_aside().unwrap().unwrap();
    assert_eq!(renamed, path.with_extension("unreadable"));
    assert_eq!(drain(&mut reader, spool.open_from()).0, sids(20..30));
    assert!(renamed.is_dir());
}

#[test]
fn an_entry_that_is_no_folder_keeps_no_other_from_being_read_or_claimed() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("0"), "").unwrap();
    let dead = Spool::claim(root.path()).unwrap();
    append(&dead, 0..3);
    assert_eq!(dead.folder().path(), root.path().join("1"));
    drop(dead);
    let Orphans { folders, broken } = Folder::orphans(root.path()).unwrap();
    assert_eq!((folders.len(), folders[0].path()), (1, root.path().join("1").as_path()));
    assert_eq!((broken.len(), broken[0].0.clone()), (1, root.path().join("0")));
    assert_eq!(set_aside(&broken[0].0).unwrap(), root.path().join("0.unreadable"));
    fs::write(root.path().join("0"), "").unwrap();
    assert_eq!(set_aside(&root.path().join("0")).unwrap(), root.path().join("0.unreadable.2"));
    assert!(Folder::orphans(root.path()).unwrap().broken.is_empty());
}
