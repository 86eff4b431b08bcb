// Imported before all else: what is loaded before it would be loaded twice.
import { becomeLean } from '@d7y/service-kit/lean-process';

becomeLean({ semiSpaceMib: 8, optimizeForSize: false, parallelScavenge: false });
