use super::*;

#[test]
fn longer_numbers_are_cut_to_their_last_digits() {
    let cut = |text: &str| Problem::new("apply", text).text;
    assert_eq!(cut("+15559876543 belongs to another tenant"), "+..6543 belongs to another tenant");
    assert_eq!(cut("3 of 1042 phones (run 7)"), "3 of 1042 phones (run 7)");
    assert_eq!(cut("12345"), "..2345");
    assert_eq!(cut("a\nb\u{202e}"), "a\\nb\\u{202e}");
    assert_eq!(cut(&"x".repeat(1000)).len(), LONGEST);
}

#[test]
fn a_notification_says_what_is_wrong_and_what_no_longer_is() {
    let subject = Subject { command: "status", tenant: "acme", host: "pbx1", scope: "" };
    let problems = [Problem::new("asterisk", "Asterisk does not answer")];
    assert_eq!(text(subject, &problems, &[]), "reconcile status: acme on pbx1: 1 problem\n- Asterisk does not answer");
    assert_eq!(
        text(subject, &[], &problems),
        "reconcile status: acme on pbx1: resolved\n- no longer: Asterisk does not answer"
    );
}

#[test]
fn the_name_of_a_host_becomes_no_path() {
    let subject = |host| Subject { command: "status", tenant: "acme", host, scope: "" };
    let receiver = |path: &str| Receiver::new(&format!("https://hooks.example/{path}"), None).unwrap();
    let note_of = |subject, path| note_of(Path::new("/state"), subject, &receiver(path));
    let note = note_of(subject("../../etc/x"), "a");
    assert_eq!(note.parent(), Some(Path::new("/state")));
    assert_ne!(note, note_of(subject("pbx1"), "a"));
    // Another receiver was told nothing yet, and its address is not in the name.
    assert_ne!(note, note_of(subject("../../etc/x"), "b"));
    assert!(!note_of(subject("pbx1"), "canary").to_string_lossy().contains("canary"));
}
