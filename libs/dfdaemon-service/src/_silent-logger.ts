import { createLogger } from '@d7y/service-kit';

export const silentLogger = createLogger({ name: 'test', level: 'silent' });
