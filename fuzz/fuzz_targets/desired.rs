//! No desired state, however broken, makes the reader panic; a good one can always be rendered.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use reconcile::{
    asterisk::ConfigFile,
    desired,
    directory::Recorded,
    plan::{self, Allowance, InboundValues, Inputs},
    render::{self, Digests, Phonebook},
};

fuzz_target!(|bytes: &[u8]| {
    let loaded = desired::load_text("fuzz.yaml", &String::from_utf8_lossy(bytes));
    for problem in &loaded.problems {
        problem.render(&loaded.sources, true);
        let plain = problem.render(&loaded.sources, false);
        assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "a terminal would obey: {plain:?}");
    }
    assert!(loaded.declared.is_some() || !loaded.problems.is_empty(), "refused without a reason");

    let Some(declared) = &loaded.declared else { return };
    let recorded = Recorded::default();
    let inputs = Inputs {
        declared,
        recorded: &recorded,
        secrets: &BTreeMap::new(),
        inbound: &InboundValues::default(),
        allowance: &Allowance::default(),
        highest_box: 0,
        now: Default::default(),
    };
    let plan = plan::plan(&inputs);
    if !plan.problems.is_empty() {
        return;
    }
    let files = Phonebook::of(&plan, None).files(Digests::Masked).expect("what was checked can be rendered");
    let phones = render::parse(&files[ConfigFile::Endpoints].text).phones;
    assert_eq!(phones.len(), declared.users.len(), "every phone is read back");
});
