//! A load generator for signed calls, in two ways. Ends with 1 if an answer is none of 200.
//!
//! `open`: requests leave at their scheduled instants, however long the answers to those before take. Latency
//! counts from the scheduled instant, so that a server that stalls cannot hide it. Prints the median, the 99th
//! percentile and the longest in microseconds.
//!
//! `closed`: some clients, each with one connection, send a request as soon as the one before is answered. Prints
//! the microseconds that all of it took, as `load` does for other requests.
//!
//! Built by `benches/bench.py` as `load.rs` is. The requests are signed beforehand: a line each, the
//! signature and the body.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "this is a program of its own")]

mod answer;

use std::{
    env,
    error::Error,
    fs,
    io::{BufReader, Write},
    net::TcpStream,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

const USAGE: &str = "usage: calls open ADDRESS RATE FILE | calls closed ADDRESS CLIENTS FILE
sends the requests of FILE, so many a second or by so many clients; a line is `SIGNATURE BODY`";

/// How many connections take turns in an open loop: far more than answers are ever waited for at a time.
const CONNECTIONS: usize = 64;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match run(&args) {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<String, Box<dyn Error>> {
    let [how, address, number, file] = args else { return Err(USAGE.into()) };
    let requests: Vec<String> = fs::read_to_string(file)?.lines().map(request).collect::<Option<_>>().ok_or(USAGE)?;
    let began = Instant::now() + Duration::from_millis(100);
    match how.as_str() {
        "open" => {
            let every = Duration::from_secs(1) / number.parse()?;
            let mut latencies = send_all(address, CONNECTIONS, &requests, |index| began + every * index)?;
            latencies.sort_unstable();
            let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_micros();
            Ok(format!("{} {} {}", at(50), at(99), at(100)))
        }
        "closed" => {
            send_all(address, number.parse()?, &requests, |_| began)?;
            Ok(began.elapsed().as_micros().to_string())
        }
        _ => Err(USAGE.into()),
    }
}

/// Sends the requests over so many connections by turns. Returns how long after its instant each was answered.
fn send_all(
    address: &str,
    connections: usize,
    requests: &[String],
    when: impl Fn(u32) -> Instant + Sync,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|turn| {
                let (mine, when) = (requests.iter().enumerate().skip(turn).step_by(connections), &when);
                scope.spawn(move || send(address, when, mine).map_err(|error| error.to_string()))
            })
            .collect();
        let mut latencies = Vec::with_capacity(requests.len());
        for sender in senders {
            latencies.extend(sender.join().map_err(|_| "a sender panicked")??);
        }
        Ok(latencies)
    })
}

fn request(line: &str) -> Option<String> {
    let (signature, body) = line.split_once(' ')?;
    Some(format!(
        "POST /webhooks/twilio HTTP/1.1\r\nHost: bench\r\nX-Twilio-Signature: {signature}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn send<'a>(
    address: &str,
    when: &impl Fn(u32) -> Instant,
    requests: impl Iterator<Item = (usize, &'a String)>,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut latencies = Vec::new();
    for (index, request) in requests {
        let scheduled = when(u32::try_from(index)?);
        thread::sleep(scheduled.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
        answer::hear(&mut answers, "200")?;
        latencies.push(scheduled.elapsed());
    }
    Ok(latencies)
}
