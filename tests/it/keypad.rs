//! Keys that a caller presses, by events of RFC 4733: the test sends them from a socket of its own, because SIPp would need a
//! recording.

use std::{fs, net::UdpSocket, path::PathBuf, sync::atomic::Ordering, time::Duration};

use super::{
    sipp::{NUMBER, Phone, Running, scenario},
    support::until,
};

impl Phone {
    /// Calls, and can press keys once the call is answered.
    pub(crate) fn calls_with_keys(&self, number: &str, lasting: Duration) -> Keypad {
        let (path, socket) = self.with_keys("uac-auth");
        Keypad::of(self.sipp(&path, &["-m", "1", "-s", number, "-d", &lasting.as_millis().to_string()]), socket)
    }

    /// Delivers a call whose caller can press keys once it is answered.
    pub(crate) fn delivers_keys(&self, from: &str, to: &str, lasting: Duration) -> Keypad {
        let (path, socket) = self.with_keys("uac-trunk");
        let lasting = lasting.as_millis().to_string();
        let args = ["-m", "1", "-s", to, "-key", "cid", from, "-key", "line", &self.line, "-d", &lasting];
        Keypad::of(self.sipp(&path, &args), socket)
    }

    /// Makes a caller offer events of RFC 4733, which the test sends from a socket of its own.
    fn with_keys(&self, name: &str) -> (PathBuf, UdpSocket) {
        let socket = UdpSocket::bind((self.host, 0)).expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let offered = "m=audio [media_port] RTP/AVP 0\na=rtpmap:0 PCMU/8000";
        let text = fs::read_to_string(scenario(name)).expect("a scenario");
        assert!(text.contains(offered), "{text}");
        let events = format!(
            "m=audio {port} RTP/AVP 0 101\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15"
        );
        let path = self.folder.join(format!("{name}-keys-{}.xml", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, text.replace(offered, &events)).expect("a file");
        (path, socket)
    }
}

/// What RTP calls these events here, and the bits of a packet: its version, how loud, and whether an event begins or ends.
const TYPE: u8 = 0x65;
const VERSION: u8 = 0x80;
const VOLUME: u8 = 0x0a;
const MARK: u8 = 0x80;

/// The keys of a phone in a call.
pub(crate) struct Keypad {
    pub(crate) call: Running,
    socket: UdpSocket,
    /// The number of the next packet.
    sequence: u16,
}

impl Keypad {
    fn of(call: Running, socket: UdpSocket) -> Self {
        Self { call, socket, sequence: 1 }
    }

    /// Presses a key: an event of RFC 4733, sent to where the answer to the call says.
    #[track_caller]
    pub(crate) fn press(&mut self, key: char) {
        until("the call is answered", || self.call.has_been_told("SIP/2.0 200"));
        let said = self.call.read("msg");
        let answer = said.rsplit("SIP/2.0 200 OK").next().expect("an answer");
        let port = answer.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port");
        let to = ("127.0.0.1", port.parse::<u16>().expect("a number"));
        let event = u8::try_from("0123456789*#".find(key).expect("a key")).expect("a small number");
        let timestamp = u32::from(self.sequence) * 8000;
        for (index, duration) in [160_u16, 320, 480, 640, 640, 640].into_iter().enumerate() {
            let (begins, ends) = (index == 0, index >= 3);
            let mut packet = vec![VERSION, TYPE | if begins { MARK } else { 0 }];
            packet.extend(self.sequence.to_be_bytes());
            packet.extend(timestamp.to_be_bytes());
            packet.extend(7_u32.to_be_bytes());
            packet.extend([event, VOLUME | if ends { MARK } else { 0 }]);
            packet.extend(duration.to_be_bytes());
            self.socket.send_to(&packet, to).expect("a datagram");
            self.sequence += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
