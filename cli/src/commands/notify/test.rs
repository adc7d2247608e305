//! `pv notify test`

use notifications::TestOutcome;
use specs::{ErrorKind, NotificationName};

use super::carrier;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Send a test message now, and say what came of it
///
/// It is sent once, also in quiet hours and while the notification is paused.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Notification
    name: NotificationName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let test = notifications::test(store, &args.name)?;
    let carrier = carrier(store);
    let sent = cx.block_on(test.send(&*carrier))?;
    let why = sent.why.clone().unwrap_or_default();
    let error = match sent.outcome {
        TestOutcome::Delivered => {
            return cx
                .done(&format!("delivered: message {}", sent.id), &serde_json::to_value(&sent).unwrap_or_default());
        }
        TestOutcome::Failed => CliError::new(ErrorKind::Unavailable, format!("the message was not delivered: {why}"))
            .hint("a real message would be sent again for three days"),
        TestOutcome::Refused => CliError::new(ErrorKind::Failed, format!("the target refused the message: {why}"))
            .hint("check the address, and whether the target takes this form: --style"),
        TestOutcome::Ended => CliError::new(ErrorKind::Failed, format!("the target wants no messages any more: {why}"))
            .hint(format!("pv notify delete {}", args.name)),
    };
    Err(error)
}
