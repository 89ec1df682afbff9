//! Calls whose answer did not arrive, and that the provider asks the fallback about: the record tells
//! what the caller really got.

use serde_json::json;

use super::provider::{DID, Element, PUBLIC, Provider, routed};
use crate::support::{TestEnv, until};

/// Asks the fallback, as the answer from a URL did not arrive; what it dials.
fn fallback(twilio: &mut Provider, sid: &str, url: &str) -> Element {
    let call = [("CallSid", sid), ("From", "+4930123456"), ("To", DID), ("Direction", "inbound")];
    let parameters = [&call[..], &[("ErrorCode", "11205"), ("ErrorUrl", url)]].concat();
    let answer = twilio.send("/webhooks/twilio/fallback", &parameters);
    let [verb] = <[Element; 1]>::try_from(twilio.read(answer)).unwrap();
    assert_eq!(verb.dials(), ("Number", "+15550001111"), "the default route");
    verb
}

/// What `reconcile calls` shows of a call, once this stands there.
fn shown(env: &TestEnv, sid: &str, last: &str) -> String {
    let mut text = String::new();
    until("the call is recorded", || {
        text = env.run(&format!("calls {sid}")).stdout;
        text.contains(last)
    });
    text
}

#[test]
fn a_call_whose_answer_was_lost_is_shown_as_the_fallback_answered_it() {
    let (env, _serve, mut twilio) = routed(&json!([{ "dialer": "zendesk_talk" }, { "dialer": "fixed" }]));
    let mut filters = insta::Settings::clone_current();
    filters.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "------- a moment -------");
    filters.add_filter(r"\d+\.\d ms", "(time)");
    let _filters = filters.bind_to_scope();
    let call = [("From", "+4930123456"), ("To", DID), ("Direction", "inbound")];

    // The first answer is lost.
    assert_eq!(twilio.call("CA1", &call).dials().0, "Sip");
    let dial = fallback(&mut twilio, "CA1", &format!("{PUBLIC}/webhooks/twilio"));
    assert_eq!(twilio.ended(&dial, "CA1", "completed").dials(), ("Hangup", ""));
    insta::assert_snapshot!(shown(&env, "CA1", "answered"), @r"
    call      CA1
    tenant    acme
    status    completed
    from      +4930123456 (e164)
    to        +15559876543 (inbound)
    received  ------- a moment -------
    response  ------- a moment -------  in (time); Twilio did not receive it
    fallback  ------- a moment -------
    degraded  the provider asked the fallback after error 11205
    routed    ------- a moment -------  default route
    because   the default route is taken
    targets   dialfire
    step 1    ------- a moment -------  zendesk_talk not dialled: Twilio did not receive the response with this step
    step 2    ------- a moment -------  dialfire dialled
              ------- a moment -------  answered
    answered  ------- a moment -------
    retries   1
    ");

    // The second one is.
    let dial = twilio.call("CA2", &call);
    assert_eq!(twilio.ended(&dial, "CA2", "busy").dials(), ("Number", "+15550002222"));
    let dial = fallback(&mut twilio, "CA2", dial.attribute("action"));
    assert_eq!(twilio.ended(&dial, "CA2", "no-answer").dials(), ("Hangup", ""));
    insta::assert_snapshot!(shown(&env, "CA2", "  no-answer"), @r"
    call      CA2
    tenant    acme
    status    no-answer
    from      +4930123456 (e164)
    to        +15559876543 (inbound)
    received  ------- a moment -------
    response  ------- a moment -------  in (time)
    fallback  ------- a moment -------
    degraded  the provider asked the fallback after error 11205
    routed    ------- a moment -------  default route
    because   the default route is taken
    targets   dialfire
    step 1    ------- a moment -------  zendesk_talk dialled
              ------- a moment -------  busy
    step 2    ------- a moment -------  fixed not dialled: Twilio did not receive the response with this step
    step 3    ------- a moment -------  dialfire dialled
              ------- a moment -------  no-answer
    retries   1
    ");

    // Nothing but the fallback reached the server; and what became of its step did not either.
    fallback(&mut twilio, "CA3", &format!("{PUBLIC}/webhooks/twilio"));
    twilio.send("/webhooks/twilio/status", &[("CallSid", "CA3"), ("CallStatus", "completed")]).expect(204);
    insta::assert_snapshot!(shown(&env, "CA3", "completed"), @r"
    call      CA3
    tenant    acme
    status    completed
    from      +4930123456 (e164)
    to        +15559876543 (inbound)
    received  ------- a moment -------
    response  ------- a moment -------  in (time)
    fallback  ------- a moment -------
    degraded  the provider asked the fallback after error 11205
    routed    ------- a moment -------  default route
    because   the default route is taken
    targets   dialfire
    step 2    ------- a moment -------  dialfire dialled
              -                         its result was not reported
    ");
}
