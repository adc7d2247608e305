//! A local server that speaks S3: `moto`, which `scripts/setup.sh s3` installs below the target folder.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::tools::{python_of, skip};

/// A running server with one empty bucket, `pv-test`; ends when this is dropped, or with the test's process.
#[derive(Debug)]
pub struct S3Server {
    child: Child,
    endpoint: String,
}

/// Ends when its stdin is closed: so a killed test leaves nothing behind.
const PROGRAM: &str = "
import os, sys, threading
def end():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=end, daemon=True).start()
import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
class Quiet(WSGIRequestHandler):
    def log(self, *args):
        pass
app = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock() # moto looks whether an object is there, and then writes it: not in one step
def one_at_a_time(environ, start_response):
    with turn:
        return app(environ, start_response)
server = make_server('127.0.0.1', 0, one_at_a_time, threaded=True, request_handler=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f'http://127.0.0.1:{server.server_port}'
boto3.client('s3', endpoint_url=url, region_name='us-east-1', aws_access_key_id='test',
             aws_secret_access_key='secret').create_bucket(Bucket='pv-test')
print(url, flush=True)
threading.Event().wait()
";

impl S3Server {
    /// Starts a server; skips with a message and returns `None` if it is not installed. With `CI` it must be.
    ///
    /// # Panics
    /// If it is installed and does not start, or is not installed with `CI`.
    pub fn start() -> Option<Self> {
        let Some(python) = python_of("s3-server") else {
            skip("no S3 server; scripts/setup.sh s3 installs one");
            return None;
        };
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("python can be called");
        let mut endpoint = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut endpoint).expect("a line of text");
        let endpoint = endpoint.trim().to_owned();
        assert!(endpoint.starts_with("http://"), "the S3 server does not start");
        Some(Self { child, endpoint })
    }

    /// The variables to reach it, as S3 tools know them.
    pub fn variables(&self) -> Vec<(String, String)> {
        let pairs = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// A URL in its bucket.
    pub fn url(prefix: &str) -> String {
        format!("s3://pv-test/{prefix}")
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
