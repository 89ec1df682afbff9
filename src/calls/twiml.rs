//! `TwiML`: what the provider does with a call, written through types by an XML writer.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
    writer::ElementWriter,
};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response(pub Vec<Verb>);

/// Something that the provider does, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Dials one destination.
    Dial(Dial),
    /// Asks for a digit.
    Gather(Gather),
    /// Ends the call.
    Hangup,
    /// Refuses the call, which is then never answered: only as the first verb.
    Reject(Reason),
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The caller hears that the number is not in service.
    Rejected,
    /// The caller hears that the line is busy.
    Busy,
}

/// Dials one number or address. The provider reports the end to `action`, whose answer goes on with the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// The URL to which the end is reported.
    pub action: String,
    /// How long it rings, in seconds.
    pub timeout: u32,
    /// The number that is shown; none for the provider's choice.
    pub caller_id: Option<String>,
    /// The URL that says what a person hears who must confirm the call.
    pub confirm: String,
    /// Who is dialled, all at once. The provider takes 10 at most.
    pub(crate) nouns: Vec<Noun>,
}

/// Asks the person who answered for one digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gather {
    /// Where the digit is sent.
    pub action: String,
    /// How long the digit is waited for, in seconds.
    pub timeout: u32,
    /// What the person hears.
    pub say: String,
}

/// Who is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noun {
    /// A public number.
    Number(String),
    /// A public number whose call is connected only once the person who answered confirmed it.
    Confirmed(String),
    /// A SIP address.
    Sip(String),
}

impl Response {
    /// Writes the document.
    pub(crate) fn to_xml(&self) -> String {
        let mut bytes = Vec::with_capacity(512);
        // Writing into memory does not fail.
        let _ = self.write(&mut Writer::new(&mut bytes));
        String::from_utf8(bytes).unwrap_or_default()
    }

    fn write(&self, to: &mut Writer<impl Write>) -> io::Result<()> {
        to.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let response = to.create_element("Response");
        if self.0.is_empty() {
            return response.write_empty().map(drop);
        }
        response.write_inner_content(|to| self.0.iter().try_for_each(|verb| verb.write(to))).map(drop)
    }
}

impl Verb {
    fn write(&self, to: &mut Writer<impl Write>) -> io::Result<()> {
        match self {
            Self::Dial(dial) => dial.write(to),
            Self::Gather(gather) => gather.write(to),
            Self::Hangup => to.create_element("Hangup").write_empty().map(drop),
            Self::Reject(Reason::Rejected) => to.create_element("Reject").write_empty().map(drop),
            Self::Reject(Reason::Busy) => with(to.create_element("Reject"), "reason", "busy").write_empty().map(drop),
        }
    }
}

impl Dial {
    /// The caller's leg is answered when somebody answers: it hears the ringing, and is not billed
    /// before. The method is stated, because the provider's own texts disagree about the default.
    fn write(&self, to: &mut Writer<impl Write>) -> io::Result<()> {
        let mut dial = with(to.create_element("Dial"), "action", &self.action);
        dial = with(dial, "method", "POST");
        dial = with(dial, "answerOnBridge", "true");
        dial = with(dial, "timeout", &self.timeout.to_string());
        if let Some(caller_id) = &self.caller_id {
            dial = with(dial, "callerId", caller_id);
        }
        dial.write_inner_content(|to| self.nouns.iter().try_for_each(|noun| noun.write(&self.confirm, to))).map(drop)
    }
}

impl Noun {
    fn write(&self, confirm: &str, to: &mut Writer<impl Write>) -> io::Result<()> {
        let (element, text) = match self {
            Self::Number(number) => (to.create_element("Number"), number),
            Self::Confirmed(number) => {
                (with(with(to.create_element("Number"), "url", confirm), "method", "POST"), number)
            }
            Self::Sip(address) => (to.create_element("Sip"), address),
        };
        element.write_text_content(BytesText::new(&allowed(text))).map(drop)
    }
}

impl Gather {
    fn write(&self, to: &mut Writer<impl Write>) -> io::Result<()> {
        let mut gather = with(to.create_element("Gather"), "action", &self.action);
        gather = with(gather, "method", "POST");
        gather = with(gather, "numDigits", "1");
        gather = with(gather, "timeout", &self.timeout.to_string());
        let say = |to: &mut Writer<_>| {
            to.create_element("Say").write_text_content(BytesText::new(&allowed(&self.say))).map(drop)
        };
        gather.write_inner_content(say).map(drop)
    }
}

fn with<'a, W: Write>(element: ElementWriter<'a, W>, name: &'a str, value: &str) -> ElementWriter<'a, W> {
    element.with_attribute((name, &*allowed(value)))
}

/// Drops what no XML document may hold: the writer lets it through, and the provider would refuse the
/// whole document.
fn allowed(text: &str) -> Cow<'_, str> {
    let char = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(|c| char(&c)) { text.into() } else { text.chars().filter(char).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::Reader;

    use super::*;

    fn dial(action: &str, caller_id: Option<&str>, noun: Noun) -> Response {
        let caller_id = caller_id.map(str::to_owned);
        let confirm = String::new();
        Response(vec![Verb::Dial(Dial {
            action: action.to_owned(),
            timeout: 20,
            caller_id,
            confirm,
            nouns: vec![noun],
        })])
    }

    #[test]
    fn verbs_are_written_in_the_providers_words() {
        let number = Noun::Number("+15551234567".to_owned());
        let sip = Noun::Sip("sip:acme@talk.example".to_owned());
        for (response, xml) in [
            (
                dial("https://a.example/x?a=1&b=2", Some("+15559876543"), number),
                "<Response><Dial action=\"https://a.example/x?a=1&amp;b=2\" method=\"POST\" answerOnBridge=\"true\" \
                 timeout=\"20\" callerId=\"+15559876543\"><Number>+15551234567</Number></Dial></Response>",
            ),
            (
                dial("/x", None, sip),
                "<Response><Dial action=\"/x\" method=\"POST\" answerOnBridge=\"true\" timeout=\"20\">\
                 <Sip>sip:acme@talk.example</Sip></Dial></Response>",
            ),
            (
                Response(vec![Verb::Dial(Dial {
                    action: "/x".to_owned(),
                    timeout: 20,
                    caller_id: None,
                    confirm: "/confirm".to_owned(),
                    nouns: vec![
                        Noun::Sip("sip:1001@talk.example".to_owned()),
                        Noun::Confirmed("+15551234567".to_owned()),
                    ],
                })]),
                "<Response><Dial action=\"/x\" method=\"POST\" answerOnBridge=\"true\" timeout=\"20\">\
                 <Sip>sip:1001@talk.example</Sip><Number url=\"/confirm\" method=\"POST\">+15551234567</Number>\
                 </Dial></Response>",
            ),
            (
                Response(vec![
                    Verb::Gather(Gather { action: "/c".to_owned(), timeout: 8, say: "Press 1.".to_owned() }),
                    Verb::Hangup,
                ]),
                "<Response><Gather action=\"/c\" method=\"POST\" numDigits=\"1\" timeout=\"8\"><Say>Press 1.</Say>\
                 </Gather><Hangup/></Response>",
            ),
            (Response(vec![]), "<Response/>"),
            (Response(vec![Verb::Hangup]), "<Response><Hangup/></Response>"),
            (Response(vec![Verb::Reject(Reason::Busy)]), "<Response><Reject reason=\"busy\"/></Response>"),
            (Response(vec![Verb::Reject(Reason::Rejected)]), "<Response><Reject/></Response>"),
        ] {
            assert_eq!(response.to_xml(), format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{xml}"));
        }
    }

    /// Its name, attributes and text.
    type Element = (String, Vec<(String, String)>, String);

    /// What a parser sees.
    fn parsed(xml: &str) -> Vec<Element> {
        let mut reader = Reader::from_str(xml);
        let mut elements: Vec<Element> = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) | Event::Empty(start) => {
                    let attributes = start.attributes().map(|attribute| {
                        let attribute = attribute.unwrap();
                        let value = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0).unwrap();
                        (attribute.key.0.to_owned(), value.into_owned())
                    });
                    let attributes = attributes.collect();
                    elements.push((start.name().0.to_owned(), attributes, String::new()));
                }
                Event::Text(text) => elements.last_mut().unwrap().2 += &text,
                Event::GeneralRef(reference) => {
                    let name: &str = &reference;
                    let text = quick_xml::escape::unescape(&format!("&{name};")).unwrap().into_owned();
                    elements.last_mut().unwrap().2 += &text;
                }
                Event::Eof => return elements,
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn a_parser_reads_what_was_meant_whatever_it_holds(
            action in any::<String>(),
            caller_id in any::<String>(),
            text in "\\PC{1,20}|[\\x00-\\x1f&<>\"' ]{1,9}x|\\]\\]>",
        ) {
            // A parser makes one line break of all kinds, unless they are written as references.
            prop_assume!(!text.contains('\r'));
            let xml = dial(&action, Some(&caller_id), Noun::Number(text.clone())).to_xml();
            prop_assert!(!xml.chars().any(|c| c < ' ' && !"\t\n\r".contains(c)), "{:?}", xml);
            let elements = parsed(&xml);
            let names: Vec<&str> = elements.iter().map(|(name, ..)| name.as_str()).collect();
            prop_assert_eq!(names, ["Response", "Dial", "Number"]);
            let value = |wanted: &str| elements[1].1.iter().find(|(name, _)| name == wanted).map(|(_, v)| v.clone());
            prop_assert_eq!(value("action"), Some(allowed(&action).into_owned()));
            prop_assert_eq!(value("callerId"), Some(allowed(&caller_id).into_owned()));
            prop_assert_eq!(elements[2].2.as_str(), &*allowed(&text));
        }
    }
}
