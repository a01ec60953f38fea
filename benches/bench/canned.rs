//! Servers with answers at hand, in a process of their own: KMS, and S3 with its conditions. What is measured is the
//! client, so they do as little as they can.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// The word on the command line that makes this program a server.
pub const WORD: &str = "canned-server";

/// A server that ends with this.
pub struct Canned {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Canned {
    /// This program once more, as a server.
    pub fn start() -> Canned {
        let program = std::env::current_exe().expect("this program's path");
        let mut child = Command::new(program)
            .arg(WORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut line = String::new();
        let said = child.stdout.as_mut().expect("piped");
        BufReader::new(said).read_line(&mut line).expect("the server's address");
        Canned { child, url: format!("http://{}", line.trim()) }
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends, which is when whoever started it has.
pub fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let objects = Arc::new(Objects::default());
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let objects = Arc::clone(&objects);
            std::thread::spawn(move || answer_all(&connection, &objects));
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[derive(Default)]
struct Objects {
    /// Content and ETag's number by path.
    stored: Mutex<HashMap<String, (Vec<u8>, u64)>>,
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

fn answer_all(connection: &TcpStream, objects: &Objects) {
    let _ = connection.set_nodelay(true);
    let mut input = BufReader::new(connection);
    while let Some(request) = read(&mut input) {
        let answer = match request.headers.get("x-amz-target") {
            Some(target) => kms(target, &request.body),
            None => objects.answer(&request),
        };
        let mut output = connection;
        if output.write_all(&answer).is_err() {
            return;
        }
    }
}

fn read(input: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.split('?').next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        input.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = headers.get("content-length").map_or(0, |len| len.parse().unwrap_or(0));
    let mut body = vec![0; len];
    input.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A "KMS" that gives back what it got.
fn kms(target: &str, body: &[u8]) -> Vec<u8> {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let (from, to) = if target.ends_with("Encrypt") {
        ("Plaintext", "CiphertextBlob")
    } else {
        ("CiphertextBlob", "Plaintext")
    };
    let answer = serde_json::json!({ to: body[from], "KeyId": body["KeyId"] }).to_string();
    let headers = "Content-Type: application/x-amz-json-1.1\r\nx-amzn-RequestId: 1\r\n";
    response("200 OK", headers, answer.as_bytes())
}

impl Objects {
    fn answer(&self, request: &Request) -> Vec<u8> {
        let mut stored = self.stored.lock().expect("no thread panics with it");
        let tag =
            |number: u64| format!("ETag: \"{number}\"\r\nLast-Modified: Sun, 22 Nov 2026 00:00:00 GMT\r\n");
        match request.method.as_str() {
            "GET" => match stored.get(&request.path) {
                Some((bytes, number)) => response("200 OK", &tag(*number), bytes),
                None => response("404 Not Found", "", b"<Error><Code>NoSuchKey</Code></Error>"),
            },
            "PUT" => {
                let present = stored.get(&request.path).map(|(_, number)| *number);
                let matches = |tag: &String| present.is_some_and(|number| *tag == format!("\"{number}\""));
                let fits = !(request.headers.contains_key("if-none-match") && present.is_some())
                    && request.headers.get("if-match").is_none_or(matches);
                if !fits {
                    let body = b"<Error><Code>PreconditionFailed</Code></Error>";
                    return response("412 Precondition Failed", "", body);
                }
                let number = present.unwrap_or_default() + 1;
                stored.insert(request.path.clone(), (request.body.clone(), number));
                response("200 OK", &tag(number), b"")
            }
            _ => {
                stored.remove(&request.path);
                response("204 No Content", "", b"")
            }
        }
    }
}
