//! What the load generators share: an answer is read to its end.

use std::{
    error::Error,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
};

/// Reads one answer to its end; one whose status begins otherwise is an error.
pub(crate) fn hear(answers: &mut BufReader<TcpStream>, status: &str) -> Result<(), Box<dyn Error>> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if answers.read_line(&mut line)? == 0 {
            return Err("the connection ended".into());
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim_end().parse()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    answers.read_exact(&mut body)?;
    if head.strip_prefix("HTTP/1.1 ").is_some_and(|head| head.starts_with(status)) {
        return Ok(());
    }
    Err(format!("{head}{}", String::from_utf8_lossy(&body)).into())
}
