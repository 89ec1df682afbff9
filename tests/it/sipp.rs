//! Phones played by SIPp: each with its own ports, credentials and trace; every wait is bounded.

use std::{
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    time::Duration,
};

use wait_timeout::ChildExt;

use super::support::{TestEnv, tool};

static SIPP: LazyLock<PathBuf> = LazyLock::new(|| tool("LAB_SIPP"));
pub(crate) static NUMBER: AtomicU32 = AtomicU32::new(1);

/// The phone on somebody's desk: it keeps its address and what was typed into it.
pub(crate) struct Phone {
    pub(crate) username: String,
    pub(crate) secret: String,
    /// The user name in its answer to a challenge.
    auth_user: String,
    server: String,
    /// The address it has.
    pub(crate) host: &'static str,
    /// What it bears as the token of a registration.
    pub(crate) line: String,
    port: u16,
    pub(crate) folder: PathBuf,
}

impl Phone {
    /// Takes a phone out of its box and types in what `reconcile secret show` prints.
    #[track_caller]
    pub(crate) fn of(env: &TestEnv, email: &str) -> Self {
        let shown = env.run(&format!("secret show {email} --format json")).expect(0).stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        let text = |key: &str| shown[key].as_str().expect("a text").to_owned();
        Self::with(env, text("username"), text("secret"))
    }

    /// Takes a phone out of its box and types these in.
    pub(crate) fn with(env: &TestEnv, username: String, secret: String) -> Self {
        Self {
            auth_user: username.clone(),
            username,
            secret,
            server: format!("127.0.0.1:{}", env.sip_port()),
            host: "127.0.0.1",
            line: "none".to_owned(),
            port: free_port(),
            folder: env.path("home"),
        }
    }

    /// Something that speaks SIP at this address, without credentials: a carrier, a dialer, a stranger.
    pub(crate) fn at(env: &TestEnv, host: &'static str) -> Self {
        Self { host, ..Self::with(env, "nobody".to_owned(), "-".to_owned()) }
    }

    /// Types in another user name for the answer to a challenge.
    pub(crate) fn authenticating_as(self, user: &str) -> Self {
        Self { auth_user: user.to_owned(), ..self }
    }

    /// Gives its calls the token of a registration.
    pub(crate) fn with_line(&self, line: &str) -> Self {
        let Self { username, secret, auth_user, server, folder, host, port, .. } = self;
        let (username, secret, auth_user) = (username.clone(), secret.clone(), auth_user.clone());
        let server = server.clone();
        Self { username, secret, auth_user, server, host, line: line.to_owned(), port: *port, folder: folder.clone() }
    }

    /// Names where it is reached.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Answers every call until it is unplugged.
    pub(crate) fn picks_up(&self) -> Running {
        self.plays("uas", &[])
    }

    /// Answers every call once it rang for a while, until it is unplugged; presses a key if there is one, and hangs up by
    /// itself after `talks`, if it does.
    pub(crate) fn picks_up_late(&self, key: Option<char>, talks: Option<Duration>) -> Running {
        let mut text = fs::read_to_string(scenario("uas")).expect("a scenario");
        let rings = "  ]]></send>\n  <pause milliseconds=\"800\"/>\n  <send retrans=\"500\">";
        text = text.replacen("  ]]></send>\n  <send retrans=\"500\">", rings, 1);
        let answered = "<recv request=\"ACK\" rtd=\"true\" crlf=\"true\"/>";
        // The key as a request of the dialog: no audio is sent here.
        let digit = key.map_or_else(String::new, |key| {
            let info = format!("Signal={key}\nDuration=160\n");
            format!(
                "<pause milliseconds=\"500\"/>\n<send retrans=\"500\"><![CDATA[\nINFO [next_url] SIP/2.0\n\
                 Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nMax-Forwards: 70\n[routes]\n\
                 From:[$to];tag=[pid]S[call_number]\nTo:[$from]\nCall-ID: [call_id]\nCSeq: 2 INFO\n\
                 Content-Type: application/dtmf-relay\nContent-Length: [len]\n\n{info}]]></send>\n\
                 <recv response=\"200\"/>\n"
            )
        });
        text = text.replace(answered, &format!("{answered}\n{digit}"));
        if let Some(talks) = talks {
            let bye = format!(
                "<pause milliseconds=\"{}\"/>\n<send retrans=\"500\"><![CDATA[\nBYE [next_url] SIP/2.0\n\
                 Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nMax-Forwards: 70\n[routes]\n\
                 From:[$to];tag=[pid]S[call_number]\nTo:[$from]\nCall-ID: [call_id]\nCSeq: 3 BYE\n\
                 Content-Length: 0\n\n]]></send>\n<recv response=\"200\" next=\"over\"/>\n",
                talks.as_millis()
            );
            text = text.replace("<recv request=\"BYE\"/>", &bye);
            text = text.replace("</scenario>", "<label id=\"over\"/>\n</scenario>");
        }
        let path = self.folder.join(format!("uas-late-{}.xml", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, text).expect("a file");
        self.sipp(&path, &[])
    }

    /// Rings until the caller lets go, which its log tells with the reason, until it is unplugged.
    pub(crate) fn is_let_go(&self) -> Running {
        self.plays("uas-let-go", &[])
    }

    /// Is busy until it is unplugged.
    pub(crate) fn is_busy(&self) -> Running {
        self.plays("uas-busy", &[])
    }

    /// Rings until somebody does something about it.
    pub(crate) fn rings(&self) -> Running {
        self.plays("uas-rings", &[])
    }

    /// Turns away the one call that rings, as its user would.
    #[track_caller]
    pub(crate) fn turns_away(&self, ringing: &Running) {
        let log = ringing.log();
        let call = log.split("Call-ID: ").nth(1).and_then(|rest| rest.lines().next()).expect("a call that rings");
        let socket = UdpSocket::bind((self.host, 0)).expect("a socket");
        let from = socket.local_addr().expect("an address");
        let info = format!(
            "INFO sip:user@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK-user\r\nFrom: <sip:user@{from}>;tag=u\r\n\
             To: <sip:user@{to}>\r\nCall-ID: {call}\r\nCSeq: 1 INFO\r\nContent-Length: 0\r\n\r\n",
            to = self.address(),
        );
        socket.send_to(info.as_bytes(), self.address()).expect("a datagram");
    }

    /// Forwards every call to somewhere else until it is unplugged.
    pub(crate) fn forwards_to(&self, number: &str) -> Running {
        let moved = format!("302 Moved Temporarily\nContact: <sip:{number}@{}>", self.server);
        let text = fs::read_to_string(scenario("uas-busy")).expect("a scenario").replace("486 Busy Here", &moved);
        let path = self.folder.join("uas-moved.xml");
        fs::write(&path, text).expect("a file");
        self.sipp(&path, &[])
    }

    /// Lets a client register with these credentials until it is unplugged; its log tells whether they
    /// were right.
    pub(crate) fn lets_register(&self, user: &str, realm: &str, secret: &str) -> Running {
        self.plays("uas-registrar", &["-key", "user", user, "-key", "realm", realm, "-key", "secret", secret])
    }

    /// Refuses every registration until it is unplugged.
    pub(crate) fn refuses_registrations(&self) -> Running {
        self.plays("uas-register-refused", &[])
    }

    /// Delivers a call that is answered; answers with all that was said.
    #[track_caller]
    pub(crate) fn delivers(&self, from: &str, to: &str) -> String {
        let mut call = self.delivering(from, to);
        call.ends();
        call.read("msg")
    }

    /// Begins to deliver a call that will be answered.
    pub(crate) fn delivering(&self, from: &str, to: &str) -> Running {
        self.delivering_for(from, to, Duration::from_millis(100))
    }

    /// Begins to deliver a call that will be answered, and lasts.
    pub(crate) fn delivering_for(&self, from: &str, to: &str, lasting: Duration) -> Running {
        let lasting = lasting.as_millis().to_string();
        self.plays("uac-trunk", &["-m", "1", "-s", to, "-key", "cid", from, "-key", "line", &self.line, "-d", &lasting])
    }

    /// Delivers a call that is answered, and asks for the other side to be sent to `number`, which is
    /// refused: the call goes on until it is hung up.
    #[track_caller]
    pub(crate) fn transfers_in_vain(&self, from: &str, to: &str, number: &str) {
        let refer = Self::refer(
            &format!("{number}@{}", self.server),
            "From: \"From Outside\" <sip:[cid]@[local_ip]:[local_port]>;tag=[pid]T[call_number]\n[last_To:]",
            "603",
        );
        let text = fs::read_to_string(scenario("uac-trunk")).expect("a scenario");
        let text = text.replace("<pause/>", &format!("{refer}<pause/>")).replace("CSeq: 2 BYE", "CSeq: 3 BYE");
        let path = self.folder.join("uac-trunk-refer.xml");
        fs::write(&path, text).expect("a file");
        self.sipp(&path, &["-m", "1", "-s", to, "-key", "cid", from, "-key", "line", "none", "-d", "300"]).ends_well();
    }

    /// Answers every call until it is unplugged, and asks each time for the caller to be sent to `number`,
    /// which is refused.
    pub(crate) fn picks_up_and_transfers_in_vain(&self, number: &str) -> Running {
        self.picks_up_and_refers(&format!("{number}@{}", self.server), "603")
    }

    /// Answers every call until it is unplugged, and puts the caller through into a call of its own to `number`, which is up.
    pub(crate) fn picks_up_and_puts_through(&self, number: &str, call: &Running) -> Running {
        let said = call.read("msg");
        let answer = said.split("SIP/2.0 200 OK").nth(1).expect("a call that is up");
        let field = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
        let tag = |name: &str| field(name).rsplit_once("tag=").expect("a tag").1;
        let (id, theirs, ours) = (field("Call-ID: "), tag("To: "), tag("From: "));
        let dialog = format!("{}%3Bto-tag%3D{theirs}%3Bfrom-tag%3D{ours}", id.replace('@', "%40"));
        self.picks_up_and_refers(&format!("{number}@{}?Replaces={dialog}", self.server), "202")
    }

    fn picks_up_and_refers(&self, target: &str, status: &str) -> Running {
        let refer = Self::refer(target, "From:[$to];tag=[pid]S[call_number]\nTo:[$from]", status);
        let text = fs::read_to_string(scenario("uas")).expect("a scenario");
        let text = text.replace(r#"<recv request="BYE"/>"#, &format!("{refer}<recv request=\"BYE\"/>"));
        let path = self.folder.join("uas-refer.xml");
        fs::write(&path, text).expect("a file");
        self.sipp(&path, &[])
    }

    /// Writes the steps in which a transfer is asked for and answered with this status; `parties` are the dialog's.
    fn refer(target: &str, parties: &str, status: &str) -> String {
        format!(
            "<send retrans=\"500\"><![CDATA[\nREFER [next_url] SIP/2.0\n\
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nMax-Forwards: 70\n[routes]\n{parties}\n\
             Call-ID: [call_id]\nCSeq: 2 REFER\nContact: <sip:nobody@[local_ip]:[local_port]>\n\
             Refer-To: <sip:{target}>\nReferred-By: <sip:nobody@[local_ip]>\nContent-Length: 0\n\n]]></send>\n\
             <recv response=\"{status}\"/>\n"
        )
    }

    /// Delivers a call that is refused with this status, and no other.
    #[track_caller]
    pub(crate) fn delivers_in_vain(&self, status: &str, from: &str, to: &str) {
        self.delivering_in_vain(status, from, to).ends_well();
    }

    /// Begins to deliver a call that will be refused with this status, and no other.
    pub(crate) fn delivering_in_vain(&self, status: &str, from: &str, to: &str) -> Running {
        let path = self.expecting("uac-trunk-404", status);
        self.sipp(&path, &["-m", "1", "-s", to, "-key", "cid", from, "-key", "line", &self.line])
    }

    /// Registers; the contact stands even when nobody listens there later.
    #[track_caller]
    pub(crate) fn registers(&self) {
        self.plays("register", &["-m", "1", "-key", "expires", "600"]).ends_well();
    }

    /// Registers with a contact of its own making: `HERE` stands for its address.
    #[track_caller]
    pub(crate) fn registers_as(&self, contact: &str) {
        let contact = format!("Contact: {}", contact.replace("HERE", &self.address()));
        let text = fs::read_to_string(scenario("register")).expect("a scenario");
        let text = text.replace("Contact: <sip:[field0]@[local_ip]:[local_port]>", &contact);
        let path = self.folder.join(format!("register-as-{}.xml", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, text).expect("a file");
        self.sipp(&path, &["-m", "1", "-key", "expires", "600"]).ends_well();
    }

    /// Sends a text message, which is refused with 404: by the phone of a user, or from the address of a trunk.
    #[track_caller]
    pub(crate) fn writes_in_vain(&self, number: &str, has_password: bool) {
        let name = if has_password { "message-auth-404" } else { "message-404" };
        self.plays(name, &["-m", "1", "-s", number]).ends_well();
    }

    /// Is switched off.
    #[track_caller]
    pub(crate) fn unregisters(&self) {
        self.plays("register", &["-m", "1", "-key", "expires", "0"]).ends_well();
    }

    /// Tries to register and is turned away.
    #[track_caller]
    pub(crate) fn is_refused(&self) {
        self.plays("register-refused", &["-m", "1", "-key", "expires", "600"]).ends_well();
    }

    /// Registers, then answers every call until it is unplugged.
    #[track_caller]
    pub(crate) fn answers(&self) -> Running {
        self.registers();
        self.plays("uas", &[])
    }

    /// Calls, is answered, and hangs up after a while.
    #[track_caller]
    pub(crate) fn calls(&self, number: &str, lasting: Duration) -> Running {
        self.plays("uac-auth", &["-m", "1", "-s", number, "-d", &lasting.as_millis().to_string()])
    }

    /// Calls, is answered, and speaks until it hangs up.
    pub(crate) fn speaks(&self, number: &str, lasting: Duration) -> Running {
        let path = self.speaking("uac-auth");
        self.sipp(&path, &["-m", "1", "-s", number, "-d", &lasting.as_millis().to_string()])
    }

    /// Delivers several calls of one caller at once.
    pub(crate) fn delivers_at_once(&self, calls: u32, from: &str, to: &str, lasting: Duration) -> Running {
        let (lasting, calls) = (lasting.as_millis().to_string(), calls.to_string());
        let of_call = ["-s", to, "-key", "cid", from, "-key", "line", &self.line, "-d", &lasting];
        self.plays("uac-trunk", &[&["-m", &calls, "-r", &calls][..], &of_call].concat())
    }

    /// Delivers a call that is answered, and speaks until it hangs up.
    pub(crate) fn delivers_speech(&self, from: &str, to: &str, lasting: Duration) -> Running {
        let (path, lasting) = (self.speaking("uac-trunk"), lasting.as_millis().to_string());
        self.sipp(&path, &["-m", "1", "-s", to, "-key", "cid", from, "-key", "line", &self.line, "-d", &lasting])
    }

    /// Delivers a call whose caller speaks, with this `From` and another header; says all of that again once it is
    /// answered.
    pub(crate) fn delivers_speech_as(&self, from: &str, header: &str, to: &str, lasting: Duration) -> Running {
        let (path, lasting) = (self.speaking("uac-trunk"), lasting.as_millis().to_string());
        let text = fs::read_to_string(&path).expect("a scenario");
        let text = text.replace("\"From Outside\" <sip:[cid]@[local_ip]:[local_port]>", from);
        let text = text.replacen("Max-Forwards: 70\n", &format!("Max-Forwards: 70\n{header}\n"), 1);
        let message = |begin: &str| {
            let begin = text.find(begin).expect("a message");
            &text[begin..begin + text[begin..].find("]]>").expect("its end")]
        };
        let lines = message("INVITE sip:").lines().map(|line| match line {
            line if line.starts_with("INVITE ") => "INVITE [next_url] SIP/2.0",
            line if line.starts_with("To:") => "[last_To:]",
            line => line,
        });
        let again = lines.collect::<Vec<_>>().join("\n").replace("CSeq: 1", "CSeq: 2");
        let acknowledged = message("ACK [").replace("CSeq: 1", "CSeq: 2");
        let again = format!(
            "<pause milliseconds=\"500\"/>\n<send retrans=\"500\"><![CDATA[\n{again}\n]]></send>\n\
             <recv response=\"100\" optional=\"true\"/>\n<recv response=\"200\"/>\n\
             <send><![CDATA[\n{acknowledged}]]></send>\n<nop>"
        );
        let text = text.replacen("<nop>", &again, 1).replace("CSeq: 2 BYE", "CSeq: 3 BYE");
        fs::write(&path, text).expect("a file");
        self.sipp(&path, &["-m", "1", "-s", to, "-key", "cid", "x", "-key", "line", &self.line, "-d", &lasting])
    }

    /// Makes a caller speak once the call is answered: a hum, in u-law.
    fn speaking(&self, name: &str) -> PathBuf {
        let voice = self.folder.join("voice.ul");
        fs::write(&voice, [0x80, 0x90, 0xa0, 0x90, 0x00, 0x10, 0x20, 0x10].repeat(1000)).expect("a file");
        let speak = format!("<nop><action><exec rtp_stream=\"{},-1,0\"/></action></nop>\n<pause/>", voice.display());
        let text = fs::read_to_string(scenario(name)).expect("a scenario").replace("<pause/>", &speak);
        let path = self.folder.join(format!("{name}-speaks-{}.xml", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, text).expect("a file");
        path
    }

    /// Is told of waiting messages, which its log says, until it is unplugged.
    pub(crate) fn lamp(&self) -> Running {
        self.plays("uas-lamp", &[])
    }

    /// Calls and is answered.
    #[track_caller]
    pub(crate) fn reaches(&self, number: &str) {
        self.calls(number, Duration::from_millis(100)).ends_well();
    }

    /// Calls and is refused with this status, and no other.
    #[track_caller]
    pub(crate) fn is_told(&self, status: &str, number: &str) {
        let path = self.expecting("uac-auth-404", status);
        self.sipp(&path, &["-m", "1", "-s", number]).ends_well();
    }

    /// Makes a scenario expect another status than 404.
    fn expecting(&self, name: &str, status: &str) -> PathBuf {
        let refused = fs::read_to_string(scenario(name)).expect("a scenario").replace("404", status);
        let path = self.folder.join(format!("{}.xml", name.replace("404", status)));
        fs::write(&path, refused).expect("a file");
        path
    }

    fn plays(&self, name: &str, args: &[&str]) -> Running {
        self.sipp(&scenario(name), args)
    }

    pub(crate) fn sipp(&self, scenario: &Path, args: &[&str]) -> Running {
        let name = scenario.file_stem().and_then(|name| name.to_str()).expect("a name");
        let trace = self.folder.join(format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let Self { username, secret, auth_user, .. } = self;
        let csv = trace.with_extension("csv");
        let line = format!("SEQUENTIAL\n{username};[authentication username={auth_user} password={secret}]\n");
        fs::write(&csv, line).expect("a file");
        let child = Command::new(&*SIPP)
            .args([&self.server, "-i", self.host, "-p", &self.port.to_string(), "-mp", &free_port().to_string()])
            .args(["-aa", "-nostdin", "-timeout", "20s", "-timeout_error"])
            .args(["-trace_msg", "-trace_err", "-trace_logs"])
            .arg("-message_file")
            .arg(trace.with_extension("msg"))
            .arg("-error_file")
            .arg(trace.with_extension("err"))
            .arg("-log_file")
            .arg(trace.with_extension("log"))
            .arg("-inf")
            .arg(csv)
            .arg("-sf")
            .arg(scenario)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("SIPp runs");
        Running { child, trace }
    }
}

pub(crate) fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/lab/sipp/{name}.xml"))
}

/// Finds a free port; the one after the next is free too, because SIPp takes both for media. It is below those that the
/// system gives to whoever asks for any: such a one may be taken before SIPp has it.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let found = (0..1000).find_map(|_| {
        let port = 20_100 + TAKEN.fetch_add(4, Ordering::Relaxed) % 12_000;
        let is_free = [port, port + 2].iter().all(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok());
        is_free.then_some(port)
    });
    found.expect("a free port")
}

/// A SIPp at work; it is ended when the test lets go of it.
pub(crate) struct Running {
    child: Child,
    trace: PathBuf,
}

impl Running {
    /// Ends a callee when the calls that are up are over; answers with a line a call.
    #[track_caller]
    pub(crate) fn unplug(self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::USR1).expect("SIPp still runs");
        self.ends_well()
    }

    /// Waits for its end, which must be a good one; answers with what the scenario logged.
    #[track_caller]
    pub(crate) fn ends_well(mut self) -> String {
        self.ends();
        self.log()
    }

    #[track_caller]
    fn ends(&mut self) {
        let status = self.child.wait_timeout(Duration::from_secs(25)).expect("a child");
        let good = status.is_some_and(|status| status.success());
        assert!(good, "{} ended with {status:?}\n{}{}", self.trace.display(), self.read("err"), self.read("msg"));
    }

    /// Reads what the scenario logged up to now.
    pub(crate) fn log(&self) -> String {
        self.read("log")
    }

    /// Whether the other side has sent a message with this in it.
    pub(crate) fn has_been_told(&self, text: &str) -> bool {
        self.read("msg").contains(text)
    }

    /// Ends what goes on until then; answers with all that was said.
    #[track_caller]
    pub(crate) fn unplug_and_tell(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::USR1).expect("SIPp still runs");
        self.ends();
        self.read("msg")
    }

    pub(crate) fn read(&self, kind: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.trace.with_extension(kind)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
