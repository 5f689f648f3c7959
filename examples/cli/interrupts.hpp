// What happens when the program is told to end.
#pragma once

namespace cli {

/// From now on the first SIGINT, SIGTERM or SIGHUP asks work to stop (tessera::request_stop). Work that does not within
/// two seconds, and a second signal, end the program at once. Nothing is left of files that have not got their names
/// yet in either case, nor when nobody reads what is printed; what is kept in work folders stays. A signal that was
/// ignored before stays so (nohup).
void catch_interrupts();

/// What the program ends with after a signal, as shells have it.
int interrupted_status();

}  // namespace cli
