//! llama-cpp-python's OpenAI-compatible server, as a child of this test.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the tests need: a Python with llama-cpp-python, and the model's file.
pub struct Setup {
    pub python: PathBuf,
    pub model: PathBuf,
}

impl Setup {
    /// `None` with a line that says what is missing.
    pub fn find() -> Option<Setup> {
        let Some(python) = std::env::var_os("PLACKETT_LLAMA_PYTHON").map(PathBuf::from) else {
            println!(
                "skipped: set PLACKETT_LLAMA_PYTHON to a Python that has llama-cpp-python[server] (see this test's first \
                 lines)"
            );
            return None;
        };
        Some(Setup { python, model: crate::smollm2::gguf_file()? })
    }

    /// Runs `reference.py`: the most probable next tokens of each prompt, by their bytes.
    pub fn reference(&self, prompts: &[String], top: usize) -> Vec<Vec<(Vec<u8>, f64)>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/remote_real/reference.py");
        let mut child = Command::new(&self.python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter of PLACKETT_LLAMA_PYTHON");
        let asked = serde_json::json!({"model": self.model, "prompts": prompts, "top": top});
        child.stdin.take().expect("input").write_all(asked.to_string().as_bytes()).expect("written");
        let output = child.wait_with_output().expect("output");
        assert!(output.status.success(), "reference.py failed");
        let answers: Vec<Vec<(String, f64)>> = serde_json::from_slice(&output.stdout).expect("JSON");
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect()
        };
        answers.into_iter().map(|a| a.into_iter().map(|(t, p)| (bytes(&t), p)).collect()).collect()
    }
}

/// A running server; ended when dropped.
pub struct Server {
    child: Child,
    pub url: String,
    pub port: u16,
}

impl Server {
    /// Starts a server on a free loopback port and waits until it answers.
    pub fn start(setup: &Setup, folder: &Path) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("address").port();
        drop(listener);
        Server::start_at(setup, folder, port)
    }

    pub fn start_at(setup: &Setup, folder: &Path, port: u16) -> Server {
        let log = folder.join(format!("server-{port}.log"));
        let file = File::create(&log).expect("log");
        let child = Command::new(&setup.python)
            .args(["-m", "llama_cpp.server", "--host", "127.0.0.1", "--n_ctx", "512"])
            // Without the logits of all positions, the server has no log-probabilities.
            .args(["--logits_all", "true", "--n_threads", "2", "--verbose", "false"])
            .args(["--port", &port.to_string(), "--model"])
            .arg(&setup.model)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("log"))
            .stderr(file)
            .spawn()
            .expect("the interpreter of PLACKETT_LLAMA_PYTHON");
        let mut server = Server { child, url: format!("http://127.0.0.1:{port}"), port };
        let until = Instant::now() + Duration::from_secs(120);
        while ureq::get(&format!("{}/v1/models", server.url)).call().is_err() {
            let ended = server.child.try_wait().expect("a child");
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "the server ended with {ended:?}: {}", said());
            assert!(Instant::now() < until, "the server does not answer: {}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    /// Ends it at once, whatever it does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
