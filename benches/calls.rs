//! An open-loop load generator: requests leave at their scheduled instants, however long the answers
//! to those before take, and latency counts from the scheduled instant, so that a server that stalls
//! cannot hide it. Prints the median, the 99th percentile and the longest in microseconds; ends with 1
//! where an answer is none of 200.
//!
//! Built by `benches/run` as `load.rs` is. The requests are signed beforehand: a line each, the
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

const USAGE: &str = "usage: calls ADDRESS RATE FILE
sends the requests of FILE, so many a second; a line is `SIGNATURE BODY`";

/// How many connections take turns: far more than answers are ever waited for at a time.
const CONNECTIONS: usize = 64;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [address, rate, file] = args.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match rate.parse().map_err(Into::into).and_then(|rate| run(address, rate, file)) {
        Ok(mut latencies) => {
            latencies.sort_unstable();
            let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_micros();
            println!("{} {} {}", at(50), at(99), at(100));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: &str, rate: u32, file: &str) -> Result<Vec<Duration>, Box<dyn Error>> {
    let requests: Vec<String> = fs::read_to_string(file)?.lines().map(request).collect::<Option<_>>().ok_or(USAGE)?;
    let every = Duration::from_secs(1) / rate;
    let began = Instant::now() + Duration::from_millis(100);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|turn| {
                let mine = requests.iter().enumerate().skip(turn).step_by(CONNECTIONS);
                scope.spawn(move || send(address, began, every, mine).map_err(|error| error.to_string()))
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
    began: Instant,
    every: Duration,
    requests: impl Iterator<Item = (usize, &'a String)>,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut latencies = Vec::new();
    for (index, request) in requests {
        let scheduled = began + every * u32::try_from(index)?;
        thread::sleep(scheduled.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
        answer::hear(&mut answers, "200")?;
        latencies.push(scheduled.elapsed());
    }
    Ok(latencies)
}
