// Imported before all else: what is loaded before it would be loaded twice.
import { becomeLean } from '@d7y/service-kit/lean-process';

// Nobody is answered while garbage is collected: some 40 ms for what comes together by 12 %, 100 and more for what V8 would wait for; and
// while four threads mark beside it on two processors, everybody waits.
becomeLean({ semiSpaceMib: 8, oldGrowthPercent: 12, optimizeForSize: false, helperThreads: 1, tenuresEarly: false });
