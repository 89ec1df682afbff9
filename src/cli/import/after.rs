//! What the imported phones will have: the file that we would render of the desired state.

use anyhow::Result;

use super::hinted;
use crate::{
    asterisk::ConfigFile,
    desired::Declared,
    import::{self, Imported, answers::Answers},
    render::{Digests, Phone, Phonebook, endpoint_name},
};

/// Lists what changes for the imported phones.
pub(super) fn list_changes(before: &Answers, declared: &Declared, imported: &mut Imported) -> Result<()> {
    let Declared { tenant, settings, routes, .. } = declared;
    let phones = declared.users.values().filter_map(|user| {
        Some(Phone {
            email: &user.email,
            name: &user.name,
            extension: user.extension?,
            phone: &user.phone,
            no_answer: user.no_answer.as_deref(),
        })
    });
    let mut phones: Vec<Phone<'_>> = phones.collect();
    phones.sort_by_key(|phone| phone.extension);
    let book = Phonebook { tenant, settings, directory: None, phones, routes };
    let files = book.files(Digests::Masked)?;
    let after = import::read_rendered(&files[ConfigFile::Endpoints].text).map_err(hinted)?;
    let rendered = |number| endpoint_name(tenant, settings.endpoint_names, number);
    let names = imported.endpoints.iter().map(|(name, number)| (name.clone(), rendered(*number))).collect();
    imported.left_out.extend(import::changes(before, &after, &names));
    Ok(())
}
