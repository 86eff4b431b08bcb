// Imported before all else: what is loaded before it would be loaded twice.
import { becomeLean } from '@d7y/service-kit/lean-process';

// Nobody is answered while garbage is collected: some 10 ms at a time with a young generation of this size, 30 and more with what V8 would take; and while
// four threads help with that on two processors, everybody waits.
becomeLean({ semiSpaceMib: 16, optimizeForSize: false, helperThreads: 1, tenuresEarly: false });
