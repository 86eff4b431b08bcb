/** A user, as far as access is concerned. */
export interface KnownUser {
  readonly id: number;
  readonly name: string;
  readonly state: 'enable' | 'disable';
  /** Sessions that began before are over. */
  readonly passwordChangedAt: Date | undefined;
  readonly roles: readonly string[];
}

/** A personal access token, as far as access is concerned. */
export interface KnownToken {
  readonly id: number;
  readonly name: string;
  readonly userId: number;
  readonly scopes: readonly string[];
  readonly state: 'active' | 'inactive';
  readonly expiredAt: Date;
}

export interface Permission {
  readonly object: string;
  readonly action: 'read' | '*';
}

/** Where it is written down who may what. */
export interface AccessSource {
  user(userId: number): Promise<KnownUser | undefined>;
  isRevoked(sessionId: string): Promise<boolean>;
  /** @param hash SHA-256 in hex */
  token(hash: string): Promise<KnownToken | undefined>;
  /** By role. */
  permissions(): Promise<ReadonlyMap<string, readonly Permission[]>>;
}
