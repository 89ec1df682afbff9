//! A small load generator: some clients, each with one connection kept alive, send one kind of
//! request again and again. Prints the microseconds that all of it took; ends with 1 where an
//! answer is none of 2xx.
//!
//! Needs nothing but the standard library, so that `benches/bench.py` builds it with `rustc` alone.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "this is a program of its own")]

mod answer;

use std::{
    env,
    error::Error,
    io::{BufReader, Write},
    net::TcpStream,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

const USAGE: &str = "usage: load ADDRESS TOKEN CLIENTS REQUESTS METHOD PATH [BODY]
sends REQUESTS requests by CLIENTS clients; each `{}` in BODY becomes the number of the request";

/// What is sent, and how often.
struct Load {
    address: String,
    token: String,
    requests: usize,
    method: String,
    path: String,
    body: String,
    next: AtomicUsize,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [address, token, clients, requests, method, path, body @ ..] = args.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let (Ok(clients), Ok(requests)) = (clients.parse::<usize>(), requests.parse()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let load = Load {
        address: address.clone(),
        token: token.clone(),
        requests,
        method: method.clone(),
        path: path.clone(),
        body: body.first().cloned().unwrap_or_default(),
        next: AtomicUsize::new(1),
    };
    let began = Instant::now();
    let failed = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| load.client())).collect();
        clients.into_iter().filter_map(|client| client.join().ok().and_then(Result::err)).count()
    });
    println!("{}", began.elapsed().as_micros());
    ExitCode::from(u8::from(failed > 0))
}

impl Load {
    /// Sends requests until all are sent, one after the other.
    fn client(&self) -> Result<(), ()> {
        self.send_all().map_err(|error| eprintln!("{error}"))
    }

    fn send_all(&self) -> Result<(), Box<dyn Error>> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        let mut answers = BufReader::new(stream.try_clone()?);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number > self.requests {
                return Ok(());
            }
            stream.write_all(self.request(number).as_bytes())?;
            answer::hear(&mut answers, "2")?;
        }
    }

    fn request(&self, number: usize) -> String {
        let Self { method, path, token, body, .. } = self;
        let body = body.replace("{}", &number.to_string());
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}
