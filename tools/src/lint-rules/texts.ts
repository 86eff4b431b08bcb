/** A text and the existing file of the workspace it stands in for. */
export interface TextToLint {
  readonly path: string;
  readonly text: string;
}

/** What ESLint says of such a text. */
export interface LintedText {
  readonly path: string;
  readonly messages: readonly { readonly rule: string; readonly message: string }[];
}
