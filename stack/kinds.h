/* kinds.h: what an open file is and where it is served: the two enumerations that the interposers (through
 * api.h) share with layer 6. */
#ifndef SHUNT_KINDS_H
#define SHUNT_KINDS_H

enum file_type { FILE_FREE, FILE_SOCK, FILE_EPOLL };

/* Design section 2; theory in sock.h. */
enum placement { PLACE_UNDECIDED, PLACE_STACK, PLACE_KERNEL, PLACE_BOTH };

#endif
