// Imported before all else: what is loaded before it would be loaded twice.
import { becomeLean } from '@d7y/service-kit/lean-process';

// Nobody is answered while garbage is collected: 30 MB of it are some 30 ms, the 150 MB that V8 would wait for more than 100.
becomeLean({ semiSpaceMib: 8, oldGrowthPercent: 60, optimizeForSize: false });
