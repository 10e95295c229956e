//! A server on a loopback port that answers as it is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub head: String,
    pub body: serde_json::Value,
}

/// What the server does with one request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Closes after this many bytes of the body.
    pub cut: Option<usize>,
    /// Closes without a word.
    pub silent: bool,
    pub delay: Duration,
}

impl Answer {
    pub fn ok(body: impl Into<String>) -> Answer {
        Answer { status: 200, body: body.into().into_bytes(), ..Answer::default() }
    }

    pub fn status(status: u16, body: &str) -> Answer {
        Answer { status, ..Answer::ok(body) }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
}

pub struct Mock {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Mock {
    /// Starts a server. `answer` gets the number of the request (from 0) and what it is; each connection has its thread.
    pub fn start(answer: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> Mock {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || {
                    let _ = talk(stream, &log, answer.as_ref());
                });
            }
        });
        Mock { url, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("seen").clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().expect("seen").len()
    }
}

fn talk(
    mut stream: TcpStream,
    log: &Mutex<Vec<Seen>>,
    answer: &dyn Fn(usize, &Seen) -> Answer,
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body)?;
        let path = head.split(' ').nth(1).unwrap_or_default().to_string();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let seen = Seen { path, head, body };
        let number = {
            let mut log = log.lock().expect("log");
            log.push(seen.clone());
            log.len() - 1
        };
        let answer = answer(number, &seen);
        std::thread::sleep(answer.delay);
        if answer.silent {
            return Ok(());
        }
        write!(stream, "HTTP/1.1 {} Answer\r\nContent-Length: {}\r\n", answer.status, answer.body.len())?;
        for (name, value) in &answer.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        write!(stream, "\r\n")?;
        let end = answer.cut.unwrap_or(answer.body.len());
        stream.write_all(&answer.body[..end])?;
        if answer.cut.is_some() {
            return Ok(());
        }
    }
}

/// Scores of a rerank request: the length of each text.
pub fn lengths(seen: &Seen) -> Answer {
    let texts =
        seen.body["texts"].as_array().or(seen.body["documents"].as_array()).cloned().unwrap_or_default();
    let mut items: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| (index, text.as_str().unwrap_or_default().len() as f64))
        .collect();
    items.sort_by(|a, b| b.1.total_cmp(&a.1));
    let name = if seen.path == "/rerank" { "score" } else { "relevance_score" };
    let items: Vec<_> = items.iter().map(|(i, s)| serde_json::json!({"index": i, name: s})).collect();
    match seen.path.as_str() {
        "/rerank" => Answer::ok(serde_json::Value::from(items).to_string()),
        _ => Answer::ok(
            serde_json::json!({"results": items, "usage": {"total_tokens": 10 * items.len()}}).to_string(),
        ),
    }
}
