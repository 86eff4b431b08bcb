// Imported before all else: what is loaded before it would be loaded twice.
import { becomeLean } from '@d7y/service-kit/lean-process';

// Nobody is answered while garbage is collected: some 20 ms for what comes together by 25 %, 100 and more for what V8 would wait for. A third
// of a pause went by waiting for threads that clear weak references.
becomeLean({ semiSpaceMib: 8, oldGrowthPercent: 25, optimizeForSize: false, parallelWeakClearing: false });
