//! The tasks of jobs. All are idempotent.

use super::STATEMENT;
use crate::{
    BoxError,
    db::{Database, Job, Property},
};

pub(super) async fn run(
    database: &Database,
    kind: &'static str,
    job: &Job,
) -> Result<(), BoxError> {
    let property = database.property(&job.owner, &job.subject).await?;
    // The property was removed after the job was queued.
    let Some(property) = property else {
        return Ok(());
    };
    if kind == STATEMENT {
        write_statement(database, job, &property).await
    } else {
        Ok(database.publish_listing(property).await?)
    }
}

/// Writes the statement of a year, one document part for each month. The document has the id of the
/// job.
async fn write_statement(
    database: &Database,
    job: &Job,
    property: &Property,
) -> Result<(), BoxError> {
    let rent = property.draft.rent_cents;
    for month in 0..12 {
        let mut part = String::new();
        if month == 0 {
            part += "month,rent_cents,total_cents\n";
        }
        let total = rent.saturating_mul(month + 1);
        part += &format!("{},{rent},{total}\n", month + 1);
        let (owner, id) = (&job.owner, &job.id);
        database.add_document_part(owner, id, month, part).await?;
    }
    Ok(())
}
