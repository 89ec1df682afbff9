-- Who let a user go: the file all at once, or the API one by one. Of those before nobody knows.
alter table former_users add column managed_by text not null default 'file' check (managed_by in ('file', 'api'));
