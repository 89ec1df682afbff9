//! Inbound calls on the real Asterisk: the files come from the renderer and go straight into its
//! folders, so that these tests need neither database nor apply.

mod apply;
mod decide;
mod groups;
mod lost;
mod missing_modules;
mod named;
mod ringing;
mod sip;
mod strangers;

use std::{collections::BTreeMap, fs};

use reconcile::{
    asterisk::PerFile,
    desired::{self, Declared},
    model::{Extension, Ha1, ObjectName, Secret},
    objects::{ObjectId, ObjectKind, Routes},
    render::{Digests, File, Phone, Phonebook, endpoint_name},
};

use super::support::TestEnv;

/// The secret of every phone and trunk here.
const SECRET: &str = "of-phones-and-trunks-7";

/// Reads a desired-state file.
#[track_caller]
fn declared(text: &str) -> Declared {
    let loaded = desired::load_text("pbx.yaml", text);
    let problems: Vec<String> = loaded.problems.iter().map(|problem| problem.render(&loaded.sources, false)).collect();
    loaded.declared.unwrap_or_else(|| panic!("{}", problems.join("\n")))
}

/// Renders a file whose users are all pinned, with these routes.
fn files(declared: &Declared, routes: &Routes) -> PerFile<File> {
    let secret = Secret::new(SECRET).expect("a secret");
    let phones: BTreeMap<Extension, Phone<'_>> = declared
        .users
        .values()
        .map(|user| {
            let extension = user.extension.expect("a pinned user");
            (
                extension,
                Phone {
                    email: &user.email,
                    name: &user.name,
                    extension,
                    phone: &user.phone,
                    no_answer: user.no_answer.as_deref(),
                },
            )
        })
        .collect();
    let name = |number| endpoint_name(&declared.tenant, declared.settings.endpoint_names, number);
    let digests = phones.keys().map(|number| (*number, Ha1::new(&name(*number), "asterisk", &secret))).collect();
    let of_trunk = |name: &ObjectName| ((ObjectKind::Trunk, name.to_string()), secret.clone());
    let secrets: BTreeMap<ObjectId, Secret> = routes.trunks.keys().map(of_trunk).collect();
    let book = Phonebook {
        tenant: &declared.tenant,
        settings: &declared.settings,
        directory: Some(uuid::Uuid::from_u128(7)),
        phones: phones.into_values().collect(),
        routes,
    };
    book.files(Digests::Real { digests: &digests, secrets: &secrets }).expect("files")
}

/// Puts files in place.
fn put<'a>(env: &TestEnv, files: impl IntoIterator<Item = &'a File>) {
    for file in files {
        let path = env.etc(&file.path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, &file.text).expect("a file");
    }
}

/// Puts the files of a tenant in place and has Asterisk take them.
fn run(env: &TestEnv, declared: &Declared) {
    put(env, files(declared, &declared.routes).values());
    reload(env);
}

/// Has Asterisk take the files in place.
fn reload(env: &TestEnv) {
    assert!(env.ask("module reload res_pjsip.so").contains("reloaded successfully"));
    assert!(env.ask("dialplan reload").contains("reloaded"));
}
