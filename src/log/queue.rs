//! The way of the log to stderr: a bounded queue, and a thread that writes it.
//!
//! A program that logs never waits for the reader of its log. If the reader is slow or stuck, lines are dropped
//! and counted. The count is logged as soon as lines are taken again, and stands in `/metrics`.

use std::{
    borrow::Cow,
    cell::Cell,
    io,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use super::redact::{beginning, redacted};

/// How long a line is at most, in bytes. Linux writes so many into a pipe in one piece (`PIPE_BUF`), whoever else
/// writes to it.
pub(super) const LINE: usize = 4096;

/// How many bytes wait at most while the reader is slow: some seconds of a busy server.
const QUEUE: usize = 4 * 1024 * 1024;

/// The pause between two writes: a busy server wakes the thread 200 times a second, not once a line.
const PAUSE: Duration = Duration::from_millis(5);

/// How long the end of a program waits for the reader of its log.
const PATIENCE: Duration = Duration::from_millis(250);

/// The queue of this process.
static LOG: Queue = Queue { waiting: Mutex::new(Waiting::new()), come: Condvar::new(), written: Condvar::new() };

/// How many lines were dropped since the program was started.
static DROPPED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread logs how many lines were dropped.
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

struct Queue {
    waiting: Mutex<Waiting>,
    /// Wakes the thread.
    come: Condvar,
    /// Wakes those who wait for the end of a write.
    written: Condvar,
}

struct Waiting {
    /// Whole lines, as they were logged.
    lines: Vec<u8>,
    /// Whether the thread waits for a line.
    idle: bool,
    /// Whether the thread writes.
    writing: bool,
    /// How many wait for the queue to be written.
    flushing: usize,
    /// How many lines were dropped and are not told yet.
    untold: u64,
}

/// Starts the thread.
///
/// # Errors
/// When the system has no more threads. Lines are then dropped.
pub(crate) fn start() -> io::Result<()> {
    thread::Builder::new().name("log".to_owned()).spawn(|| LOG.write_lines(write_to_stderr)).map(drop)
}

/// Waits until what was logged is written, for a bounded time.
pub(crate) fn flush() {
    LOG.flush();
}

/// How many lines were dropped since the program was started.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Takes the log's lines, each in one piece.
#[derive(Debug, Default)]
pub(crate) struct LogQueue;

impl io::Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Waiting {
    const fn new() -> Self {
        Self { lines: Vec::new(), idle: false, writing: false, flushing: 0, untold: 0 }
    }

    fn drop_lines(&mut self, count: u64) {
        DROPPED.fetch_add(count, Ordering::Relaxed);
        self.untold += count;
    }
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let line = shortened(line);
        let mut waiting = self.lock();
        // The count of what was dropped always fits: it is one line a write.
        if waiting.lines.len() + line.len() > QUEUE && !COUNTS.get() {
            waiting.drop_lines(1);
            return;
        }
        waiting.lines.extend_from_slice(&line);
        let idle = std::mem::take(&mut waiting.idle);
        drop(waiting);
        if idle {
            self.come.notify_one();
        }
    }

    /// Writes what comes, for ever.
    fn write_lines(&self, write: impl Fn(&[u8]) -> io::Result<()>) {
        loop {
            let lines = self.take();
            let text = redacted(&String::from_utf8_lossy(&lines)).into_owned();
            let mut dropped = 0;
            for piece in pieces(text.as_bytes()) {
                if write(piece).is_err() {
                    dropped += piece.split_inclusive(|byte| *byte == b'\n').count() as u64;
                }
            }
            let untold = self.end_write(dropped);
            if untold > 0 {
                COUNTS.set(true);
                tracing::warn!(lines = untold, "log lines were dropped, because the reader of stderr is too slow");
                COUNTS.set(false);
            }
            self.pause();
        }
    }

    /// Takes all lines; waits for the first.
    fn take(&self) -> Vec<u8> {
        let mut waiting = self.lock();
        waiting.idle = waiting.lines.is_empty();
        let nothing = |waiting: &mut Waiting| waiting.lines.is_empty();
        let mut waiting = self.come.wait_while(waiting, nothing).unwrap_or_else(PoisonError::into_inner);
        (waiting.idle, waiting.writing) = (false, true);
        std::mem::take(&mut waiting.lines)
    }

    /// Returns how many lines were dropped before this write, if it succeeded.
    fn end_write(&self, dropped: u64) -> u64 {
        let mut waiting = self.lock();
        waiting.writing = false;
        let untold = if dropped > 0 {
            waiting.drop_lines(dropped);
            0
        } else {
            std::mem::take(&mut waiting.untold)
        };
        drop(waiting);
        self.written.notify_all();
        untold
    }

    /// Lets lines gather, unless the program waits for them to be written.
    fn pause(&self) {
        let calm = |waiting: &mut Waiting| waiting.flushing == 0;
        drop(self.come.wait_timeout_while(self.lock(), PAUSE, calm));
    }

    fn flush(&self) {
        let mut waiting = self.lock();
        if waiting.lines.is_empty() && !waiting.writing {
            return;
        }
        waiting.flushing += 1;
        self.come.notify_one();
        let unwritten = |waiting: &mut Waiting| !waiting.lines.is_empty() || waiting.writing;
        let waited = self.written.wait_timeout_while(waiting, PATIENCE, unwritten);
        waited.unwrap_or_else(PoisonError::into_inner).0.flushing -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts a line that is too long, and says how much is left out.
fn shortened(line: &[u8]) -> Cow<'_, [u8]> {
    /// More than the mark takes.
    const MARK: usize = 64;

    if line.len() <= LINE {
        return Cow::Borrowed(line);
    }
    let kept = beginning(&String::from_utf8_lossy(line), LINE - MARK);
    let left_out = line.len() - 1 - kept.len();
    Cow::Owned(format!("{kept}... ({left_out} bytes left out)\n").into_bytes())
}

/// Splits text into pieces of whole lines, each as long as a pipe takes at once.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = if rest.len() <= LINE {
            rest.len()
        } else {
            let whole = rest[..LINE].iter().rposition(|byte| *byte == b'\n');
            let first = || rest.iter().position(|byte| *byte == b'\n');
            whole.or_else(first).map_or(rest.len(), |end| end + 1)
        };
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Writes to stderr, for as long as the reader takes. Does not lock it: what else is written there need not wait.
fn write_to_stderr(mut bytes: &[u8]) -> io::Result<()> {
    let stderr = io::stderr();
    while !bytes.is_empty() {
        match rustix::io::write(&stderr, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Another process that shares the pipe set it so.
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;

    fn queue() -> &'static Queue {
        let waiting = Mutex::new(Waiting::new());
        Box::leak(Box::new(Queue { waiting, come: Condvar::new(), written: Condvar::new() }))
    }

    #[test]
    fn a_long_line_is_cut_and_says_how_much_is_left_out() {
        let line = format!("{}\n", "\u{e4}".repeat(5000));
        let cut = String::from_utf8(shortened(line.as_bytes()).into_owned()).unwrap();
        assert!(cut.len() <= LINE && cut.ends_with(" bytes left out)\n"), "{cut}");
        let (kept, mark) = cut.split_once("... (").unwrap();
        assert_eq!(mark, format!("{} bytes left out)\n", 10_000 - kept.len()));
        let whole = format!("{}\n", "a".repeat(LINE - 1));
        assert_eq!(shortened(whole.as_bytes()), whole.as_bytes());
    }

    #[test]
    fn pieces_are_whole_lines_that_a_pipe_takes_at_once() {
        let lines: Vec<String> = (0..500).map(|number| format!("{}\n", "x".repeat(number * 37 % 3000))).collect();
        let text = lines.concat();
        let pieces: Vec<&[u8]> = pieces(text.as_bytes()).collect();
        assert!(pieces.iter().all(|piece| piece.len() <= LINE && piece.ends_with(b"\n")));
        assert_eq!(pieces.concat(), text.as_bytes());
        assert_eq!(super::pieces(b"").count(), 0);
    }

    #[test]
    fn a_reader_that_is_stuck_holds_up_neither_lines_nor_the_end_and_what_was_dropped_is_counted() {
        let queue = queue();
        let (let_go, stuck) = mpsc::channel::<()>();
        let (written, heard) = mpsc::channel();
        let stuck = Mutex::new(stuck);
        thread::spawn(move || {
            queue.write_lines(|piece| {
                let _ = stuck.lock().unwrap().recv();
                written.send(piece.to_vec()).map_err(io::Error::other)
            });
        });
        let line = format!("{}\n", "x".repeat(4000));
        queue.push(line.as_bytes());
        let began = Instant::now();
        for _ in 0..4 * QUEUE / line.len() {
            queue.push(line.as_bytes());
        }
        assert!(queue.lock().lines.len() <= QUEUE);
        let dropped = queue.lock().untold;
        assert!(dropped > 500, "{dropped}");
        queue.flush();
        assert!(began.elapsed() < Duration::from_secs(20) && heard.try_recv().is_err());
        // Once it reads, it gets all that waits.
        drop(let_go);
        until_empty(queue);
        let got: usize = heard.try_iter().map(|piece| piece.len()).sum();
        assert_eq!(got as u64, (1 + 4 * QUEUE as u64 / line.len() as u64 - dropped) * line.len() as u64);
        assert_eq!(queue.lock().untold, 0);
    }

    fn until_empty(queue: &Queue) {
        let began = Instant::now();
        while !queue.lock().lines.is_empty() || queue.lock().writing {
            assert!(began.elapsed() < Duration::from_mins(1));
            queue.flush();
        }
    }

    #[test]
    fn what_was_logged_is_written_when_the_program_ends() {
        let queue = queue();
        let (written, heard) = mpsc::channel();
        thread::spawn(move || queue.write_lines(|piece| written.send(piece.to_vec()).map_err(io::Error::other)));
        for number in 0..10 {
            queue.push(format!("line {number} of bo.li@example.com\n").as_bytes());
            queue.flush();
            let text = String::from_utf8(heard.try_iter().flatten().collect()).unwrap();
            assert_eq!(text, format!("line {number} of (e-mail)\n"));
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let queue = queue();
        thread::spawn(move || queue.write_lines(|_| Err(io::ErrorKind::BrokenPipe.into())));
        queue.push(b"a\nb\n");
        until_empty(queue);
        assert_eq!(queue.lock().untold, 2);
    }
}
