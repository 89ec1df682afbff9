//! Calls are written down whatever the disk and the database do.

use std::{
    fs,
    process::{Command, Stdio},
};

use super::{
    kept::redacted,
    spool::{Reader, encode},
    *,
};
use crate::{
    calls::{Answer, What},
    directory::{
        CallScope, Directory,
        embedded::{Embedded, Settings},
    },
    model::CallerClass,
};

fn event(number: usize) -> Event {
    let at = "2026-11-21T10:00:00Z".parse().unwrap();
    let answer = Answer {
        from: "+4930123456".to_owned(),
        to: "+15559876543".to_owned(),
        direction: "inbound".to_owned(),
        caller_class: CallerClass::E164,
        received_at: at,
        routed_at: at,
        response_ms: 1.5,
        rule: None,
        reason: "no rule fits".to_owned(),
        targets: vec!["dialfire".to_owned()],
        first: None,
        retry: false,
        degraded: None,
        fallback: None,
    };
    let what = What::Answered(Box::new(answer));
    Event { call_sid: format!("CA{number:032}"), tenant: Some("acme".parse().unwrap()), at, what }
}

fn start(state: &Path, open: impl Fn() -> anyhow::Result<Directory> + Send + Sync + 'static) -> Recorder {
    let metrics = RecorderMetrics::register(&mut prometheus_client::registry::Registry::default());
    Recorder::start(state, Arc::new(open), metrics).unwrap()
}

/// Appends an event as a thread that serves does.
fn append(recorder: &Recorder, event: &Event) -> Result<(), RecorderError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(recorder.append(event))
}

fn no_database() -> anyhow::Result<Directory> {
    anyhow::bail!("the database is away")
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_mins(1), "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The events on the disk.
fn on_disk(state: &Path) -> Vec<String> {
    let mut reader = Reader::open(&state.join("calls/0")).unwrap();
    reader.next(u64::MAX, usize::MAX).unwrap().events.into_iter().map(|event| event.call_sid).collect()
}

/// A private database.
struct Database(tempfile::TempDir);

impl Database {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("rc-").tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn open(&self) -> anyhow::Result<Directory> {
        self.opens()()
    }

    fn opens(&self) -> impl Fn() -> anyhow::Result<Directory> + Send + Sync + 'static {
        let state_dir = self.0.path().join("db");
        let settings = Settings { state_dir, bin_dir: None, path: std::env::var_os("PATH") };
        move || {
            let mut directory = Directory::embedded(Embedded::start(&settings, &mut |_| {})?)?;
            directory.migrate()?;
            anyhow::Ok(directory)
        }
    }
}

#[test]
fn an_event_is_on_the_disk_at_once_and_waits_there_for_the_database() {
    let state = tempfile::tempdir().unwrap();
    let recorder = start(state.path(), no_database);
    for number in 0..1000 {
        append(&recorder, &event(number)).unwrap();
        // When it returns.
        if number % 100 == 0 {
            assert_eq!(on_disk(state.path()).len(), number + 1);
        }
    }
    assert_eq!(on_disk(state.path()).len(), 1000);
    until("it is seen that they wait", || recorder.shared.metrics.oldest.get() > 0.0);
    recorder.finish();
    drop(recorder);
    assert_eq!(on_disk(state.path()).len(), 1000, "for the next server");
}

#[test]
fn with_a_full_disk_events_are_kept_until_there_is_room() {
    let state = tempfile::tempdir().unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k", "reconcile-test"]).arg(state.path()).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: a disk cannot be mounted here");
        return;
    }
    let recorder = start(state.path(), no_database);
    append(&recorder, &event(0)).unwrap();
    let _ = fs::write(state.path().join("junk"), vec![0; 64 * 1024]);
    let mut number = 1;
    while append(&recorder, &event(number)).is_ok() {
        number += 1;
    }
    let error = append(&recorder, &event(number + 1)).unwrap_err().to_string();
    assert!(error.starts_with("an event is kept in memory only: cannot write into"), "{error}");
    let metrics = &recorder.shared.metrics;
    assert_eq!((metrics.durable.get(), metrics.not_durable.get(), metrics.lost.get()), (0, 2, 0));
    assert_eq!(on_disk(state.path()).len(), number, "no half line is left");
    fs::remove_file(state.path().join("junk")).unwrap();
    until("all is on the disk", || on_disk(state.path()).len() == number + 2);
    // Noted by the thread that wrote it, a moment later.
    until("nothing is kept", || (metrics.durable.get(), recorder.shared.kept().len()) == (1, 0));
    // Full again, and the server ends as soon as there is room.
    let _ = fs::write(state.path().join("junk"), vec![0; 64 * 1024]);
    while append(&recorder, &event(number + 2)).is_ok() {
        number += 1;
    }
    fs::remove_file(state.path().join("junk")).unwrap();
    recorder.finish();
    assert_eq!((on_disk(state.path()).len(), recorder.shared.kept().len()), (number + 3, 0));
    drop(recorder);
    assert!(Command::new("umount").arg("-l").arg(state.path()).status().unwrap().success());
}

/// A disk of its own, which can be made to hang.
struct Disk {
    path: PathBuf,
    _image: tempfile::TempDir,
}

impl Disk {
    /// Mounts one, or returns `None` if that is not permitted.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (image, path) = (folder.path().join("image"), folder.path().join("disk"));
        fs::create_dir(&path).unwrap();
        fs::File::create(&image).unwrap().set_len(16 * 1024 * 1024).unwrap();
        let file = image.to_str().unwrap();
        if !(does("mkfs.ext4", &["-q", "-F", file]) && does("mount", &["-oloop", file, path.to_str().unwrap()])) {
            eprintln!("skipped: a disk cannot be mounted here");
            return None;
        }
        Some(Self { path, _image: folder })
    }

    fn hang(&self, hangs: bool) {
        assert!(does("fsfreeze", &[if hangs { "-f" } else { "-u" }, self.path.to_str().unwrap()]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path = self.path.to_str().unwrap();
        does("fsfreeze", &["-u", path]);
        does("umount", &["-l", path]);
    }
}

fn does(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_disk_that_hangs_is_waited_for_once() {
    let Some(disk) = Disk::mount() else { return };
    let recorder = start(&disk.path, no_database);
    append(&recorder, &event(0)).unwrap();
    disk.hang(true);
    let began = Instant::now();
    assert!(matches!(append(&recorder, &event(1)), Err(RecorderError::Late)));
    let first = began.elapsed();
    for number in 2..100 {
        assert!(matches!(append(&recorder, &event(number)), Err(RecorderError::Late)));
    }
    // Half a second the first time, and nothing from then on.
    assert!(began.elapsed() < 20 * first, "{first:?}, then {:?}", began.elapsed());
    let metrics = &recorder.shared.metrics;
    assert_eq!((metrics.durable.get(), metrics.not_durable.get()), (0, 99));
    disk.hang(false);
    until("all is on the disk", || {
        let on_disk = on_disk(&disk.path);
        (0..100).all(|number| on_disk.contains(&event(number).call_sid)) && recorder.shared.kept().is_empty()
    });
    append(&recorder, &event(100)).unwrap();
    assert_eq!(metrics.durable.get(), 1);
    recorder.finish();
}

#[test]
fn while_the_disk_hangs_the_database_gets_events_and_the_server_can_end() {
    let Some(disk) = Disk::mount() else { return };
    let database = Database::new();
    let mut directory = database.open().unwrap();
    let recorder = start(&disk.path, database.opens());
    append(&recorder, &event(0)).unwrap();
    until("all is recorded, and noted to be", || on_disk(&disk.path).is_empty());
    disk.hang(true);
    for number in 1..20 {
        assert!(matches!(append(&recorder, &event(number)), Err(RecorderError::Late)));
    }
    until("they are recorded", || directory.calls(&CallScope::All, None, 1000).unwrap().len() == 20);
    let began = Instant::now();
    recorder.finish();
    assert!(began.elapsed() < FLUSH + SYNCED + Duration::from_secs(3), "{:?}", began.elapsed());
    drop(disk);
}

#[test]
fn without_any_spool_events_reach_the_database_all_the_same() {
    let (state, database) = (tempfile::tempdir().unwrap(), Database::new());
    let mut directory = database.open().unwrap();
    // A file where the folder should be.
    fs::write(state.path().join("calls"), "").unwrap();
    let recorder = start(state.path(), database.opens());
    for number in 0..600 {
        assert!(matches!(append(&recorder, &event(number)), Err(RecorderError::NoSpool)));
    }
    recorder.finish();
    assert_eq!(directory.calls(&CallScope::All, None, 1000).unwrap().len(), 600);
    assert_eq!(recorder.shared.metrics.not_durable.get(), 600);
}

#[test]
fn a_database_that_hangs_does_not_keep_the_server_from_ending() {
    let state = tempfile::tempdir().unwrap();
    let recorder = start(state.path(), || {
        thread::sleep(Duration::from_mins(5));
        no_database()
    });
    append(&recorder, &event(0)).unwrap();
    let began = Instant::now();
    recorder.finish();
    assert!(began.elapsed() < FLUSH + Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(on_disk(state.path()).len(), 1);
}

#[test]
fn the_log_has_the_last_four_digits() {
    let text = serde_json::to_string(&redacted(&event(1))).unwrap();
    assert!(text.contains("***3456") && text.contains("***6543") && !text.contains("30123456"), "{text}");
}

/// Each pass over the spool ended at the broken part, so that 500 calls were recorded in up to 30 s.
#[test]
fn a_part_of_the_spool_that_cannot_be_read_slows_down_no_other() {
    let (state, database) = (tempfile::tempdir().unwrap(), Database::new());
    let mut directory = database.open().unwrap();
    let root = state.path().join("calls");
    let own = Spool::claim(&root).unwrap();
    let dead = Spool::claim(&root).unwrap();
    let fill = |spool: &Spool, numbers: std::ops::Range<usize>| {
        let lines: Vec<Vec<u8>> = numbers.map(|number| encode(&event(number)).unwrap()).collect();
        spool.append(&lines.concat()).unwrap();
        spool.close();
    };
    fill(&own, 0..6000);
    fill(&dead, 6000..6010);
    // Reading a folder fails as a bad block of the disk does.
    fs::create_dir(dead.folder().path().join(format!("{:020}.calls", dead.open_from()))).unwrap();
    drop((own, dead));
    let later = root.join("1").join(format!("{:020}.calls", 3));
    let lines: Vec<Vec<u8>> = (6010..9000).map(|number| encode(&event(number)).unwrap()).collect();
    fs::write(later, lines.concat()).unwrap();
    fs::write(root.join("7"), "no folder").unwrap();

    let recorder = start(state.path(), database.opens());
    let began = Instant::now();
    until("all that can be read is recorded", || directory.calls(&CallScope::All, None, 10_000).unwrap().len() == 9000);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(recorder.shared.metrics.set_aside.get(), 2);
    assert!(root.join("1").join(format!("{:020}.unreadable", 2)).is_dir() && root.join("7.unreadable").is_file());
    recorder.finish();
}

#[test]
fn a_thread_that_panics_is_started_again_and_loses_no_event() {
    let (state, database) = (tempfile::tempdir().unwrap(), Database::new());
    let mut directory = database.open().unwrap();
    // No spool: the events are in memory only.
    fs::write(state.path().join("calls"), "").unwrap();
    let (opens, attempts) = (database.opens(), std::sync::atomic::AtomicU32::new(0));
    let recorder = start(state.path(), move || {
        assert!(attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 2, "the thread panics");
        opens()
    });
    for number in 0..100 {
        assert!(append(&recorder, &event(number)).is_err());
    }
    until("all are recorded", || directory.calls(&CallScope::All, None, 1000).unwrap().len() == 100);
    assert_eq!(recorder.shared.metrics.restarts.get(), 2);
    recorder.finish();
}

#[test]
fn what_was_appended_is_synced_soon() {
    let state = tempfile::tempdir().unwrap();
    let recorder = start(state.path(), no_database);
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(2) {
        append(&recorder, &event(0)).unwrap();
        longest = longest.max(recorder.shared.spool.get().unwrap().unsynced());
    }
    // 100 ms where the disk syncs in 50 ms; those of a busy machine may need longer, not ten times as long.
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    until("all is synced", || recorder.shared.spool.get().unwrap().unsynced().is_zero());
    recorder.finish();
}
