// The optional helper thread that gives idle memory back while the program sleeps (HAKMEM_BACKGROUND=1).
#ifndef HAKMEM_API_BACKGROUND_H_
#define HAKMEM_API_BACKGROUND_H_

namespace hakmem::background {

// Starts the helper when it is wanted and not there. Called from slow paths that free huge amounts; cheap otherwise.
void StartIfWanted();

// A forked child has no helper until it is started anew.
void ForgetInChild();

}  // namespace hakmem::background

#endif  // HAKMEM_API_BACKGROUND_H_
