//! Strangers in a crowd: half-sent bodies, bad signatures, wrong tokens, no descriptors left. Whoever has
//! a signature or a token is answered meanwhile.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::{
    server::{Client, Serve, token},
    webhook::provider::{DID, PUBLIC, Provider, applied, environment, form, routes},
};
use crate::support::{TestEnv, desired, say, until};

/// How long a genuine request may take meanwhile, in a debug build beside the crowd's own threads. It took
/// more than 2 s, 10 s, or had no answer.
const PROMPT: Duration = Duration::from_millis(1500);

/// The clients of these tests are files of this process.
fn allow_clients() {
    let mine = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: mine.maximum, ..mine }).unwrap();
}

fn connect(serve: &Serve) -> TcpStream {
    let stream = TcpStream::connect(serve.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Opens a connection by which no other is made impatient: `None` if the server does not take it.
fn try_connect(serve: &Serve) -> Option<TcpStream> {
    let stream = TcpStream::connect(serve.url.trim_start_matches("http://")).ok()?;
    stream.set_read_timeout(Some(Duration::from_mins(1))).ok()?;
    Some(stream)
}

/// Ends a crowd when the test ends, even by a panic: the crowd's threads are waited for.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(serve: &Serve, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", serve.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A server that answers calls, the provider, and one signed call.
fn answering(args: &[&str]) -> (TestEnv, Serve, Call) {
    let env = environment();
    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "dialfire" }])));
    let serve = Serve::start_by(args, &env, "");
    let parameters = [("CallSid", "CA1"), ("From", "+4930123456"), ("To", DID)];
    let signature = Provider::of(&serve).sign("/webhooks/twilio", &parameters);
    let call = Call { body: form(&parameters), signature };
    call.answered(&mut connect(&serve));
    (env, serve, call)
}

/// A genuine call.
struct Call {
    body: String,
    signature: String,
}

impl Call {
    fn request(&self, signature: &str) -> String {
        let host = PUBLIC.trim_start_matches("https://");
        format!(
            "POST /webhooks/twilio HTTP/1.1\r\nHost: {host}\r\nX-Twilio-Signature: {signature}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        )
    }

    /// Sends it, and returns how long the answer took.
    #[track_caller]
    fn answered(&self, stream: &mut TcpStream) -> Duration {
        let began = Instant::now();
        stream.write_all(self.request(&self.signature).as_bytes()).unwrap();
        let status = status(stream);
        assert_eq!(status, Some(200));
        began.elapsed()
    }

    /// The longest of some calls, each over a connection of its own, and one over the connection `kept`.
    #[track_caller]
    fn longest(&self, serve: &Serve, kept: &mut TcpStream) -> Duration {
        let each = || {
            let began = Instant::now();
            self.answered(&mut connect(serve));
            began.elapsed()
        };
        (0..20).map(|_| each()).max().unwrap().max(self.answered(kept))
    }
}

/// Reads one answer, and returns its status; `None` if the connection ended.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let (mut bytes, mut heard) = ([0; 4096], Vec::new());
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            if body.len() >= length.parse::<usize>().ok()? {
                return head.get(9..12)?.parse().ok();
            }
        }
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return None,
            Ok(read) => heard.extend_from_slice(&bytes[..read]),
        }
    }
}

/// Half-sent bodies took 636 MiB: each as much as it announced.
#[test]
fn three_thousand_half_sent_bodies_cost_little_memory_and_delay_no_call() {
    allow_clients();
    let (_env, serve, call) = answering(&[]);
    let mut kept = connect(&serve);
    call.answered(&mut kept);
    let before = memory(&serve, "VmRSS");
    let body = "x=".to_owned() + &"x".repeat(15_000);
    let head = "POST /webhooks/twilio HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: AAAA\r\nContent-Length: 16000\r\n\r\n";
    let half: Vec<TcpStream> = (0..3000)
        .map(|number| {
            // A connection without a request for 15 s is closed.
            if number % 250 == 0 {
                call.answered(&mut kept);
            }
            let mut stream = connect(&serve);
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            stream
        })
        .collect();
    // The kernel hands over connections in their order: this one comes behind all of them.
    call.answered(&mut connect(&serve));
    let longest = call.longest(&serve, &mut kept);
    let most = memory(&serve, "VmHWM") - before;
    say(&format!("3,000 half-sent bodies: {most} KiB, the longest call {longest:?}"));
    assert!(longest < PROMPT, "{longest:?}");
    assert!(most < 200 * 1024, "{most} KiB");
    drop(half);
    // The allocator gives back what it has when it is asked for more.
    until("the memory is given back", || {
        call.answered(&mut connect(&serve));
        memory(&serve, "VmRSS") < before + 60 * 1024
    });
}

/// Each of them cost as much as a genuine request, and a line in the log: genuine answers took 2.3 s.
#[test]
fn fifteen_hundred_clients_with_bad_signatures_delay_no_call() {
    const EACH: usize = 100;
    allow_clients();
    let (_env, serve, call) = answering(&[]);
    let mut kept = connect(&serve);
    call.answered(&mut kept);
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let forged = call.request("AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    thread::scope(|scope| {
        for _ in 0..15 {
            scope.spawn(|| {
                let mut streams: Vec<Option<TcpStream>> = (0..EACH).map(|_| try_connect(&serve)).collect();
                while !over.load(Ordering::Relaxed) {
                    for stream in &mut streams {
                        let sent = stream.as_mut().is_some_and(|stream| stream.write_all(forged.as_bytes()).is_ok());
                        if !sent {
                            *stream = try_connect(&serve);
                        }
                    }
                    for stream in streams.iter_mut().flatten() {
                        if status(stream) == Some(403) {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        let _over = Over(&over);
        until("the crowd is there", || {
            call.answered(&mut kept);
            refused.load(Ordering::Relaxed) > 1500
        });
        let longest = call.longest(&serve, &mut kept);
        say(&format!("1,500 clients with bad signatures: the longest call {longest:?}"));
        assert!(longest < PROMPT, "{longest:?}");
    });
    // A line for each of them would fill the disk.
    let lines = serve.log().lines().filter(|line| line.contains("a signature does not match")).count();
    assert!(lines < 1000, "{lines}");
}

/// With no descriptor left, nothing was answered until those that idled were given up.
#[test]
fn without_descriptors_left_idle_clients_make_room() {
    allow_clients();
    let (_env, serve, call) = answering(&["prlimit", "--nofile=128:128"]);
    let mut kept = connect(&serve);
    call.answered(&mut kept);
    let idle: Vec<TcpStream> = (0..400).map(|_| connect(&serve)).collect();
    let longest = call.longest(&serve, &mut kept);
    assert!(longest < PROMPT, "{longest:?}");
    let open = fs::read_dir(format!("/proc/{}/fd", serve.pid())).unwrap().count();
    assert!(open < 128, "{open}");
    drop(idle);
}

/// Text that is written like a token.
fn guess(number: usize) -> String {
    format!("rct_{number:042}A")
}

fn portal() -> (TestEnv, Serve, Client) {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let token = token(&env, "portal", "read");
    let serve = Serve::start(&env, "");
    let portal = serve.client(&token);
    (env, serve, portal)
}

/// Eight look-ups that waited held all connections, and the server said that it was not ready.
#[test]
fn slow_token_lookups_do_not_stall_readiness() {
    let (env, serve, portal) = portal();
    portal.get("/users").expect(200);
    let mut sql = env.sql();
    let mut locked = sql.transaction().unwrap();
    locked.batch_execute("lock table api_tokens in access exclusive mode").unwrap();
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let mut other = env.sql();
    thread::scope(|scope| {
        let slow: Vec<_> = (0..16).map(|_| scope.spawn(|| portal.get("/users"))).collect();
        until("a look-up waits", || other.query_one(waiting, &[]).unwrap().get::<_, i64>(0) > 0);
        for _ in 0..5 {
            let began = Instant::now();
            serve.client("").get("/readyz").expect(200);
            assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
        }
        // However many wait, they hold one connection.
        // One for all of them, and the two that the server keeps for itself, which may just be connecting.
        let wait: i64 = other.query_one(waiting, &[]).unwrap().get(0);
        assert!(wait <= 3, "{wait}");
        locked.rollback().unwrap();
        for answer in slow {
            answer.join().unwrap().expect(200);
        }
    });
}

#[test]
fn a_flood_of_wrong_tokens_leaves_the_database_and_the_answers_to_others() {
    let (env, serve, portal) = portal();
    let fresh = serve.client(&token(&env, "fresh", "read"));
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let connections = "select count(*) from pg_stat_activity where datname = current_database()
                       and application_name = 'reconcile'";
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut stream = connect(&serve);
                while !over.load(Ordering::Relaxed) {
                    let token = guess(count.fetch_add(1, Ordering::Relaxed));
                    let request = format!("GET /users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
                    stream.write_all(request.as_bytes()).unwrap();
                    assert_eq!(status(&mut stream), Some(401));
                }
            });
        }
        let _over = Over(&over);
        until("the flood is there", || count.load(Ordering::Relaxed) > 500);
        let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
        // One that was used before, and one that never was.
        for client in [&portal, &fresh] {
            for _ in 0..10 {
                let began = Instant::now();
                client.get("/users").expect(200);
                assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
            }
        }
        until("time passes", || began.elapsed() > Duration::from_secs(3));
        let (guesses, millis) = (count.load(Ordering::Relaxed) - before, began.elapsed().as_millis());
        say(&format!("64 clients guess {guesses} tokens in {millis} ms"));
        assert!(guesses as u128 * 1000 < 100 * millis, "{guesses} in {millis} ms");
        // One for the look-ups, one or two for the answers, two that the server keeps for itself.
        let open: i64 = env.sql().query_one(connections, &[]).unwrap().get(0);
        assert!(open <= 5, "{open}");
    });
}

/// Each of them asked the database by a connection of its own, up to eight, without any token.
#[test]
fn readiness_probes_at_once_share_one_answer() {
    let (env, serve, _) = portal();
    let mut sql = env.sql();
    let mut locked = sql.transaction().unwrap();
    locked.batch_execute("lock table refinery_schema_history in access exclusive mode").unwrap();
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let mut other = env.sql();
    thread::scope(|scope| {
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(|| serve.client("").get("/readyz"))).collect();
        until("one of them asks", || other.query_one(waiting, &[]).unwrap().get::<_, i64>(0) > 0);
        thread::sleep(Duration::from_millis(500));
        // One for all of them, and the two that the server keeps for itself, which may just be connecting.
        let wait: i64 = other.query_one(waiting, &[]).unwrap().get(0);
        assert!(wait <= 3, "{wait}");
        locked.rollback().unwrap();
        for answer in asked {
            answer.join().unwrap().expect(200);
        }
    });
}
