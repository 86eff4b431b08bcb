import { CliError } from '@d7y/cli-kit';

/** The content did not arrive, or is not what it should be. */
export class DownloadError extends CliError {
  override readonly name = 'DownloadError';
  readonly code = 'DOWNLOAD';
  readonly retryable = true;
  readonly headline = 'Downloading Failed!';
  readonly exitCode = 1;
}
